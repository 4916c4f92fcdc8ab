"""Answers of models that are kept for a while, where that is switched on."""
