"""Releases at work."""
