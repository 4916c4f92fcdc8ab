"""Aligned chat completions."""
