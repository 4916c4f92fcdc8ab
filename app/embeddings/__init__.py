"""Embeddings of callers' texts."""
