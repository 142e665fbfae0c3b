"""Which addresses on the network belong to the public, and may be called for a customer."""

from __future__ import annotations

from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

_PUBLIC_V6 = IPv6Network("2000::/3")
# Global by their number, and yet inside: a cloud's own services, relays, and v4 in disguise
# (6to4 and Teredo carry a v4 address; translation prefixes lie outside 2000::/3).
_CLOSED: tuple[IPv4Network | IPv6Network, ...] = tuple(
    ip_network(text)
    for text in (
        "168.63.129.16/32",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
    )
)


def is_public(text: str) -> bool:
    """Whether *text* is an address that anybody on the internet could call.

    Loopback, private, link-local (where clouds keep their metadata), shared, reserved and
    multicast addresses are not, nor is any of them written as a v6 address.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(str(address.ipv4_mapped))
        if address not in _PUBLIC_V6:
            return False
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not any(_within(address, network) for network in _CLOSED)
    )


def _within(address: IPv4Address | IPv6Address, network: IPv4Network | IPv6Network) -> bool:
    return address.version == network.version and address in network
