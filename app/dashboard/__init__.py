"""The web page of the service: rendered here, on the public API alone."""
