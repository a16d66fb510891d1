"""``python -m benchmarks [name …]``: run all benchmarks, or those named. Options after a single name go to it."""

from __future__ import annotations

import importlib
import sys
from itertools import takewhile

NAMES = (
    "parsing",
    "gate",
    "store",
    "catalogue",
    "stock",
    "availability",
    "live_stock",
    "launch",
    "protection",
    "late",
    "sales",
    "orders",
    "drift",
    "health",
    "desk",
    "quiet",
)


def main() -> int:
    """Run them one after the other; the exit code is 1 when one of them found a wrong result."""
    words = sys.argv[1:]
    named = list(takewhile(NAMES.__contains__, words))
    # An option's value may be called like a benchmark.
    chosen, options = named or list(NAMES), words[len(named) :]
    failed = 0
    for name in chosen:
        print(f"\n== {name} ==", flush=True)
        failed |= importlib.import_module(f"benchmarks.{name}").main(options)
    return failed


if __name__ == "__main__":
    sys.exit(main())
