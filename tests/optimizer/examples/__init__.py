"""Tests of the example bank."""
