"""Tests of the vLLM server that is a child of ours, on a program that behaves like it."""
