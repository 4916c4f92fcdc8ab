"""Meta-prompts of the rewards, one file each."""
