"""The real local embedding model, in an environment of its own: `make embeddings-tests`."""
