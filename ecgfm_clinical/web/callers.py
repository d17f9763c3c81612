"""Whose connections are whose: callers are told apart by their address, as far as one caller has only one."""

from collections import Counter
from ipaddress import IPv6Address, ip_address, ip_network

#: Of an IPv6 address, the bits that tell callers apart: a subscriber has a /64 of addresses to himself (RFC 6177).
PREFIX_V6 = 64


def caller_of(address: str) -> str:
    """The address itself, of IPv6 its /64; what is no address stands for itself."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return str(found)
    return str(found.ipv4_mapped or ip_network((found, PREFIX_V6), strict=False))


class Crowd:
    """Open connections by caller; for one thread."""

    def __init__(self, most: int) -> None:
        """`most`: of one caller at a time."""
        self._most = most
        self._open = Counter[str]()

    def enter(self, address: str) -> bool:
        """Whether one more of this caller is taken; then `leave` is owed."""
        caller = caller_of(address)
        if self._open[caller] >= self._most:
            return False
        self._open[caller] += 1
        return True

    def leave(self, address: str) -> None:
        """A connection that was taken has ended."""
        caller = caller_of(address)
        self._open[caller] -= 1
        if not self._open[caller]:
            del self._open[caller]
