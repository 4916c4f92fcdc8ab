"""Example banks: stored, or made better by a job."""
