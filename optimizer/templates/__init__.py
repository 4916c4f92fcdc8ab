"""Meta-prompts of the search, one file each."""
