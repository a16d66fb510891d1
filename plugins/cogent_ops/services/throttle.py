"""Who may ask how often: token buckets in memory, for clients and for our own reads."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from threading import Lock

from cogent_ops.clients.transport import RateBudget
from cogent_ops.domain.priorities import Priority

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
        with self._lock:
            level, now = self._level(key)
            wait = self._until_one(level)
            self._keep(key, level if wait else level - 1.0, now)
        return wait

    def wait(self, key: str = "") -> float:
        """Seconds until there is a token, which is left where it is."""
        with self._lock:
            return self._until_one(self._level(key)[0])

    def charge(self, tokens: int, key: str = "") -> None:
        """Take tokens whether or not they are there; what is lacking is waited for later."""
        with self._lock:
            level, now = self._level(key)
            self._keep(key, level - tokens, now)

    def _level(self, key: str) -> tuple[float, float]:
        """Tokens in a bucket now, and what time that is."""
        now = self._clock()
        tokens, then = self._buckets.get(key, (self.burst, now))
        return min(self.burst, tokens + max(0.0, now - then) * self.rate), now

    def _until_one(self, level: float) -> float:
        return 0.0 if level >= 1.0 else (1.0 - level) / self.rate

    def _keep(self, key: str, level: float, now: float) -> None:
        self._buckets[key] = (level, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._keys:
            self._buckets.popitem(last=False)

    def __len__(self) -> int:
        return len(self._buckets)


class ChargedBudget:
    """A rate budget whose use a throttle is charged with, so that what follows can be paced.

    It never waits for the throttle itself: a read that has begun is carried out.
    """

    def __init__(self, budget: RateBudget, throttle: Throttle) -> None:
        self._budget, self._throttle = budget, throttle

    def acquire(self, tokens: int = 1, *, priority: Priority, timeout: float) -> None:
        """Wait for the budget.

        :raises BudgetExhausted: when that takes longer than ``timeout`` seconds.
        """
        self._budget.acquire(tokens, priority=priority, timeout=timeout)
        self._throttle.charge(tokens)

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
