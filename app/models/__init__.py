"""The models that the API offers."""
