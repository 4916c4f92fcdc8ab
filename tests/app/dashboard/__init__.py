"""Tests of the dashboard over plain HTTP."""
