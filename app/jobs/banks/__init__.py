"""Jobs that make example banks (stage 1)."""
