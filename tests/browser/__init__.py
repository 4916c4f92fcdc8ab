"""The dashboard in a real Chromium: run by ``make browser-tests``, not by ``make test``."""
