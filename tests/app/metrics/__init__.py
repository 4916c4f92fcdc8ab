"""Tests of ``/metrics``."""
