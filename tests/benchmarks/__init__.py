"""Tests of the benchmarks of the search: that what they compare is compared fairly."""
