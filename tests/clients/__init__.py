"""Clients that other people have written, as programs of their own: `make client-tests`."""
