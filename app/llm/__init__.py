"""Language models: the wire, the client, one wrapper a file, and the registry that assembles them."""
