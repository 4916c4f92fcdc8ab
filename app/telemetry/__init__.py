"""What is seen of the service from outside: numbers, traces and log lines."""
