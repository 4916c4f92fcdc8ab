"""The service: HTTP in, models out, jobs, command line; the only package that wires."""
