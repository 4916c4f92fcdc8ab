"""Telling webhooks of changes: signed, retried, and never into the private network unasked."""
