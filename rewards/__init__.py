"""The dynamic reward: which criteria matter for a query, and how well an answer meets them."""
