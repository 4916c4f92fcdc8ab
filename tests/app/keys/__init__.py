"""Tests of API keys over HTTP."""
