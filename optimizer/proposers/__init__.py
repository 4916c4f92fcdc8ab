"""Rewriters of prompts."""
