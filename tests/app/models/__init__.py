"""Tests of the models list."""
