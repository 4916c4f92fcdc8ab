"""Prompts as other programs keep them."""
