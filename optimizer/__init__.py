"""The search for a better prompt, and the vocabulary every other package speaks; no I/O."""
