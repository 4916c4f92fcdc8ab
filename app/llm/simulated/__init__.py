"""A simulated world behind the OpenAI wire format: the embedded default backend of demo and tests."""
