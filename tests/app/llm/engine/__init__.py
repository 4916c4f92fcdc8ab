"""Tests of the engine in this process, on one that answers as it is told."""
