"""Who may do what, and how much of it: scopes, API keys, quotas and rates."""
