"""The tables, one a module; ``store.schema`` imports them all."""
