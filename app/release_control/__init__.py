"""Releases at work: which version answers a request, what comes of it, and when that is taken back."""
