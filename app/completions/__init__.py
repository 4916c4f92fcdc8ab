"""Plain completions."""
