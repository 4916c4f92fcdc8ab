"""Query sets: reading them, and over HTTP."""
