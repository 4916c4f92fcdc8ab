"""Tests of app/embeddings."""
