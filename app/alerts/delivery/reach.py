"""Where a message may go: to public addresses only, unless the channel is allowed private ones.

A name is resolved once and the connection is made to the very address that was checked, so that
a name which changes between the check and the connection (DNS rebinding) gains nothing.

Public is what IANA's special-purpose registries leave: for IPv4 all that is globally reachable
and not multicast; for IPv6 only 2000::/3, less what in it carries an IPv4 address (6to4, Teredo)
or is set apart. So IPv4-mapped (::ffff:0:0/96), NAT64 (64:ff9b::/96 and 64:ff9b:1::/48), unique
local, site-local and link-local addresses are all out.
"""

import ipaddress
import socket

PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")
SPECIAL_V6 = tuple(ipaddress.IPv6Network(net) for net in (
    "2001::/23",      # IETF protocol assignments: Teredo, ORCHID, benchmarking
    "2001:db8::/32",  # documentation
    "2002::/16",      # 6to4: an IPv4 address inside
    "3fff::/20",      # documentation
))  # fmt: skip
SPECIAL_V4 = tuple(ipaddress.IPv4Network(net) for net in (
    "192.0.0.0/24",    # IETF protocol assignments
    "192.88.99.0/24",  # 6to4 relays, withdrawn
))  # fmt: skip


class Forbidden(OSError):
    """An address that a channel may not reach."""


def is_public(address: str) -> bool:
    """Whether an address (no name) can be reached by everybody. A name or nonsense is not."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return ip.is_global and not ip.is_multicast and not any(ip in net for net in SPECIAL_V4)
    return ip in PUBLIC_V6 and not any(ip in net for net in SPECIAL_V6)


def connect(host: str, port: int, timeout: float, *, private: bool = False) -> socket.socket:
    """Return a TCP connection to the first address of `host` that may be reached and answers.

    Raises `Forbidden` when none may be; else the last `OSError`. `timeout` is seconds per step.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    allowed = [one for one in found if private or is_public(str(one[4][0]))]
    if not allowed:
        raise Forbidden(forbidden(host))
    failure = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in allowed:
        made = socket.socket(family, kind, protocol)
        try:
            made.settimeout(timeout)
            made.connect(address)
        except OSError as error:
            made.close()
            failure = error
        else:
            return made
    raise failure


def forbidden(host: str) -> str:
    """Say that a host is out of bounds, and what would allow it."""
    return (
        f"{host} is a loopback, link-local, private or otherwise special address: write "
        "allow_private = true in the channel to reach it all the same"
    )
