"""Who may connect to a port, and how many: an allow-list of addresses and networks, a limit in all and one per address.

The limit per address leaves room for the others, whatever one caller does. It is of connections, silent ones included.
"""

import ipaddress
import threading
from collections import Counter
from collections.abc import Sequence

from ecgfm_connectors.errors import Misconfigured

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Door:
    """Counts who is inside; safe to use from several threads."""

    def __init__(self, *, allowed: Sequence[str], most: int, most_per_host: int | None) -> None:
        """`allowed`: addresses or networks (`10.1.0.0/16`), empty = all; `most_per_host`: three quarters of `most`
        where it is None. Raises Misconfigured where an entry is neither.
        """
        self._networks = [network(text) for text in allowed]
        self._most = most
        self.most_per_host = most_per_host or per_host(most)
        self._inside: Counter[str] = Counter()
        self._lock = threading.Lock()

    def admits(self, host: str) -> bool:
        """Whether the allow-list names this address."""
        if not self._networks:
            return True
        address = _address(host)
        return address is not None and any(address in one for one in self._networks)

    def enter(self, host: str) -> bool:
        """Take a place for one connection of this address; False where there is none."""
        with self._lock:
            if self._inside.total() >= self._most or self._inside[host] >= self.most_per_host:
                return False
            self._inside[host] += 1
            return True

    def full_for(self, host: str) -> bool:
        """Whether it is the address that has used up its places, rather than all together."""
        with self._lock:
            return self._inside[host] >= self.most_per_host

    def leave(self, host: str) -> None:
        """Give the place back."""
        with self._lock:
            self._inside[host] -= 1
            if self._inside[host] <= 0:
                del self._inside[host]


def per_host(most: int) -> int:
    """Of so many connections, how many one address may have where the settings do not say."""
    return max(1, 3 * most // 4)


def network(text: str) -> Network:
    """Raises Misconfigured."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise Misconfigured(f"allowed_hosts: {text!r} is no IP address or network such as 10.1.0.0/16") from error


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address of a peer; one of IPv4 in IPv6 dress is taken as what it is."""
    try:
        address = ipaddress.ip_address(host.split("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
