"""A real vLLM server on the CPU with a tiny model of random weights: `make vllm-tests`."""
