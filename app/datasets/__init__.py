"""Query sets, built-in and uploaded."""
