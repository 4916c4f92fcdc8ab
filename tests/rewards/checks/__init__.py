"""Tests of the code rewards."""
