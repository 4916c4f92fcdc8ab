"""What served requests have used, over HTTP."""
