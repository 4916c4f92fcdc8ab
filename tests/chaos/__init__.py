"""Jobs that are disturbed in every way at once, against real servers."""
