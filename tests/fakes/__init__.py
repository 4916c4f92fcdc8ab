"""Small real stand-ins for what lies outside."""
