"""Which of several backends answers a request, and what comes after one that does not."""
