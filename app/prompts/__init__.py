"""Prompt versions and the labels that point to them."""
