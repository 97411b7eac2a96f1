"""The remote systems as they are on the wire; each client is built with everything it needs."""
