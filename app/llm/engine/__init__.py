"""vLLM's engine in this process, in place of a server: the same wire format, without a network."""
