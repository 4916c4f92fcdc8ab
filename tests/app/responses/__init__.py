"""Tests of app/responses."""
