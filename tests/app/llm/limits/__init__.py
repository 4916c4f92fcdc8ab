"""Tests of backends' limits."""
