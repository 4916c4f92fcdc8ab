"""The routes of models over HTTP."""
