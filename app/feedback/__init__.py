"""What callers say about answers."""
