"""Tests of the serving path."""
