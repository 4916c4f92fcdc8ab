"""Queries and in-context examples that ship with the service (JSONL, written for this project)."""
