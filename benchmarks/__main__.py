"""``python -m benchmarks [name …]``: run all benchmarks, or those named. Options after a single name go to it."""

from __future__ import annotations

import importlib
import sys

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
    chosen = [word for word in words if word in NAMES] or list(NAMES)
    options = [word for word in words if word not in NAMES]
    failed = 0
    for name in chosen:
        print(f"\n== {name} ==", flush=True)
        failed |= importlib.import_module(f"benchmarks.{name}").main(options)
    return failed


if __name__ == "__main__":
    sys.exit(main())
