"""Running optimizations: claim, lease, and the search that a row describes."""
