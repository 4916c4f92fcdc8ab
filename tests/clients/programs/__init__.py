"""One client each: run with URL, key, model and the name of a scenario, they print what came of it."""
