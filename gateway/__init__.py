"""The HTTP doors, one module a door. Nothing here talks to a remote; what must be done is enqueued."""
