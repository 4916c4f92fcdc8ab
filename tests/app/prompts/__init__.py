"""Prompt versions and labels over HTTP."""
