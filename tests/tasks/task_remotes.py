"""Remotes with other clients than they were built with."""

from __future__ import annotations

from dataclasses import replace

from connectors import onebox


def with_client(remote, client, profile):
    """This box with another client."""
    return replace(remote, connector=onebox.join(client, profile, remote.settings))
