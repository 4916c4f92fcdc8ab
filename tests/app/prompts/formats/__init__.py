"""Prompts as other programs keep them: read back as they were written."""
