"""The overview of targets over HTTP."""
