"""What a kind of system needs and can do, one module a kind."""
