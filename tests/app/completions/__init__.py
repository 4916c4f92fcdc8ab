"""Tests of app/completions."""
