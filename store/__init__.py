"""Tables, the call ledger and live progress: everything that outlives a process."""
