"""The in-context bank: retrieval of the nearest examples."""
