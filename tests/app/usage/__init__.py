"""Tests of usage over HTTP."""
