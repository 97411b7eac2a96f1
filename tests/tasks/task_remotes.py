"""Remotes with other clients than they were built with."""

from __future__ import annotations

from dataclasses import replace

from connectors import onebox


def with_client(remote, client, profile):
    """This box with another client."""
    made = onebox.join(client, profile.target, remote.connection, remote.settings)
    return replace(remote, connector=made)
