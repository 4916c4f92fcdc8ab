"""The whole service, as its clients see it."""
