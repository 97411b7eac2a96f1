"""The HTTP doors: health for now. Nothing here talks to a remote; what must be done is enqueued."""
