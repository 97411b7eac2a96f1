"""What an address of a caller means: this machine, and whom it stands for when callers are counted.

In: addresses as sockets and headers give them. Out: answers; what is no address is nobody's and not this
machine's. Called by whatever counts callers (gateway/places.py, gateway/tries.py) and by gateway/keys.py.
"""

from __future__ import annotations

import ipaddress

# A household or a host is given a network of this size and may use any address of it (RFC 6177).
IPV6_NETWORK = 64


def is_loopback(host: str | None) -> bool:
    """Whether this address or name is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def counted_as(address: str | None) -> str:
    """The name under which callers from this address are counted together."""
    try:
        found = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, IPV6_NETWORK), strict=False))
