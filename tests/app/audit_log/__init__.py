"""The merged audit log over HTTP."""
