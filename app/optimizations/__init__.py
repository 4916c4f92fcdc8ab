"""Optimization jobs over HTTP."""
