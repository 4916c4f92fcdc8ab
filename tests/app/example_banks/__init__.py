"""Example banks over HTTP."""
