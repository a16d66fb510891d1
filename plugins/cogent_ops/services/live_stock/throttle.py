"""Who may ask how often: token buckets in memory, for clients and for our own reads."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from threading import Lock

from cogent_ops.clients.transport import RateBudget
from cogent_ops.domain.priorities import Priority
from cogent_ops.errors import BudgetExhausted

Address = IPv4Address | IPv6Address

#: A provider gives a customer a network of so many bits, within which the customer may choose any address.
IPV6_CUSTOMER_BITS = 64


class Throttle:
    """Token buckets by key. Threads may share it.

    :param rate: tokens that flow in per second.
    :param burst: tokens at once after a quiet time; at least 1.
    :param keys: buckets kept. The one not used for longest goes first; it would be full or nearly so.
    """

    def __init__(
        self, rate: float, burst: float, *, keys: int = 10_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.rate, self.burst = rate, max(1.0, burst)
        self._keys, self._clock, self._lock = keys, clock, Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str = "") -> float:
        """Take a token: 0, or, when there is none, the seconds until there is one."""
        now = self._clock()
        with self._lock:
            tokens, then = self._buckets.pop(key, (self.burst, now))
            tokens = min(self.burst, tokens + max(0.0, now - then) * self.rate)
            wait = 0.0 if tokens >= 1.0 else (1.0 - tokens) / self.rate
            self._buckets[key] = (tokens if wait else tokens - 1.0, now)
            if len(self._buckets) > self._keys:
                self._buckets.popitem(last=False)
        return wait

    def __len__(self) -> int:
        return len(self._buckets)


class CappedBudget:
    """A rate budget of which only so much is used as a throttle lets through."""

    def __init__(self, budget: RateBudget, cap: Throttle) -> None:
        self._budget, self._cap = budget, cap

    def acquire(self, tokens: int = 1, *, priority: Priority, timeout: float) -> None:
        """Wait for the cap, then for the budget.

        :raises BudgetExhausted: when both together take longer than ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        for _ in range(tokens):
            while wait := self._cap.take():
                if time.monotonic() + wait > deadline:
                    raise BudgetExhausted("Live reads have used up their share.", retry_after=wait)
                time.sleep(wait)
        self._budget.acquire(tokens, priority=priority, timeout=max(0.0, deadline - time.monotonic()))

    def throttled(self, retry_after: float | None) -> None:
        """The target asked everybody to wait."""
        self._budget.throttled(retry_after)

    def succeeded(self) -> None:
        """The target answered."""
        self._budget.succeeded()


def client_of(peer: str | None, forwarded: Sequence[str], trusted: Sequence[str]) -> str:
    """Whom a request counts against.

    :param peer: the address that connected; ``None`` when there is none (a socket file).
    :param forwarded: the values of ``X-Forwarded-For`` as they came: addresses separated by commas, the nearest last.
    :param trusted: addresses and networks of the proxies that are believed.
    :return: the last address that no trusted proxy stands for; of IPv6 the customer's network.
    """
    networks = [ip_network(one) for one in trusted]
    client = _address(peer or "")
    hops = [hop for value in forwarded for hop in value.split(",")]
    while hops and client is not None and any(client in network for network in networks):
        hop = _address(hops.pop())
        if hop is None:
            break  # what the proxy could not name counts against the proxy
        client = hop
    if client is None:
        return peer or "unknown"
    if isinstance(client, IPv6Address):
        return str(ip_network((client, IPV6_CUSTOMER_BITS), strict=False))
    return str(client)


def _address(text: str) -> Address | None:
    """An address as peers and proxies write it: also with a port, in brackets, or IPv4 within IPv6."""
    bare = text.strip()
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        found = ip_address(bare)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found
