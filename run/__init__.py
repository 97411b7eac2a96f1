"""Runs the whole system on one machine: the supervisor, the embedded Valkey, the live screen."""
