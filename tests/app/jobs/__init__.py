"""The job engine: wiring, recording, working, claiming."""
