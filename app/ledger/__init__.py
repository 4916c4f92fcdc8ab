"""The size of the call ledger over HTTP."""
