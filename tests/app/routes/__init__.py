"""Tests of the routes endpoint."""
