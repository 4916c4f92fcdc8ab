"""Answers that are judged on demand."""
