"""The searches that ``benchmarks.search_quality`` compares, all on the same lab."""
