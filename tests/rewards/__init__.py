"""Tests of the dynamic reward."""
