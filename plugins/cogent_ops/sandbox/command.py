"""``cogent-ops sandbox``: the simulated APIs as a process of their own.

Imports what the sandbox needs only when it runs: the command line as a whole must work without the ``sandbox`` extra.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cogent_ops.errors import PermanentError

if TYPE_CHECKING:
    from cogent_ops.sandbox.dataset import Dataset
    from cogent_ops.sandbox.server import SandboxServer
    from cogent_ops.sandbox.shopfloor import ShopFloor

DEFAULT_PORT = 8765


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)")
    add("--port", type=int, default=DEFAULT_PORT, help="0 takes a free one (default: %(default)s)")
    add("--seed", type=int, default=7, help="equal seed, equal catalogue and traffic (default: %(default)s)")
    data = parser.add_argument_group("catalogue")
    add = data.add_argument
    add("--products", type=int, default=300, help="how many products to generate (default: %(default)s)")
    add("--variants", type=int, help="variants of every product (default: a mix, mostly 1 to 12)")
    add(
        "--dirty-share",
        type=float,
        default=0.06,
        help="share of products with a defect (default: %(default)s)",
    )
    add("--sunrise", type=Path, metavar="FOLDER", help="commercetools' Sunrise sample data instead")
    behaviour = parser.add_argument_group("behaviour")
    add = behaviour.add_argument
    add(
        "--faults",
        type=Path,
        metavar="FILE",
        help="fault plan (YAML): what goes wrong, how often, latency, limits",
    )
    add(
        "--token-seconds", type=int, default=172_800, help="life time of access tokens (default: %(default)s)"
    )
    add(
        "--location-form",
        choices=("address", "structured"),
        default="structured",
        help="form of LocationInput",
    )
    add("--safety-stock", type=int, default=0, help="Cloudshelf's safety stock number (default: %(default)s)")
    traffic = parser.add_argument_group("traffic")
    add = traffic.add_argument
    add("--traffic", action="store_true", help="simulate customers and merchandisers while it runs")
    add("--kiosk-rate", type=float, default=0.5, help="kiosk orders per second (default: %(default)s)")
    add("--online-rate", type=float, default=0.5, help="online orders per second (default: %(default)s)")
    add("--edit-rate", type=float, default=0.1, help="product edits per second (default: %(default)s)")
    add = parser.add_argument
    add(
        "--ready-file",
        type=Path,
        metavar="FILE",
        help="write addresses and connections there once it listens (JSON)",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM.

    :raises PermanentError: when the ``sandbox`` extra is not installed, or the port is taken.
    """
    try:
        from cogent_ops.sandbox.cloudshelf_state import KioskBehaviour
        from cogent_ops.sandbox.faults import FaultPlan
        from cogent_ops.sandbox.server import serve
        from cogent_ops.sandbox.state import Behaviour
    except ModuleNotFoundError as error:
        raise PermanentError(
            f"The sandbox needs {error.name}. Run: pip install 'cogent-ops[sandbox]'"
        ) from error
    dataset = load_dataset(args)
    try:
        serve(
            dataset,
            host=args.host,
            port=args.port,
            seed=args.seed,
            faults=FaultPlan.load(args.faults) if args.faults else None,
            behaviour=Behaviour(token_seconds=args.token_seconds),
            kiosk=KioskBehaviour(location_form=args.location_form, safety_stock=args.safety_stock),
            traffic=_traffic(args, dataset) if args.traffic else None,
            ready=lambda server: _announce(server, args.ready_file),
        )
    except OSError as error:
        raise PermanentError(f"Cannot listen at {args.host}:{args.port}: {error.strerror}.") from error
    return 0


def load_dataset(args: argparse.Namespace) -> Dataset:
    """The catalogue that the options ask for.

    :raises PermanentError: for options that make no catalogue, or a Sunrise file that cannot be read.
    """
    from cogent_ops.sandbox.generator import CatalogueGenerator, Options
    from cogent_ops.sandbox.sunrise import load_sunrise

    now = datetime.now(UTC)
    if args.sunrise:
        try:
            return load_sunrise(args.sunrise, now=now)
        except OSError as error:
            cure = "--sunrise takes the folder that holds commercetools' sample files."
            raise PermanentError(f"Cannot read {error.filename}: {error.strerror}. {cure}") from error
    try:
        options = Options(
            seed=args.seed,
            products=args.products,
            now=now,
            dirty_share=args.dirty_share,
            **({"variants": args.variants} if args.variants else {}),
        )
    except ValueError as error:
        raise PermanentError(str(error)) from error
    return CatalogueGenerator(options).dataset()


def connections(server: SandboxServer) -> dict[str, str]:
    """Environment variables that point Airflow's connections at the sandbox."""
    behaviour, kiosk = server.state.commercetools.behaviour, server.state.cloudshelf.behaviour
    commercetools: dict[str, Any] = {
        "conn_type": "commercetools",
        "host": server.commercetools_url,
        "login": behaviour.client_id,
        "password": behaviour.client_secret,
        "extra": {"project_key": server.state.commercetools.key, "auth_url": server.auth_url},
    }
    cloudshelf = {"conn_type": "cloudshelf", "host": server.cloudshelf_url, "password": kiosk.api_key}
    return {
        "AIRFLOW_CONN_COMMERCETOOLS_DEFAULT": json.dumps(commercetools),
        "AIRFLOW_CONN_CLOUDSHELF_DEFAULT": json.dumps(cloudshelf),
    }


def _announce(server: SandboxServer, ready_file: Path | None) -> None:
    exports = connections(server)
    print(f"commercetools API    {server.commercetools_url}")
    print(f"commercetools OAuth  {server.auth_url}/oauth/token")
    print(f"Cloudshelf GraphQL   {server.cloudshelf_url}")
    print(f"control              {server.control_url}/state")
    print("\nTo point Airflow at it:")
    for name, value in exports.items():
        print(f"  export {name}='{value}'")
    print("\nStop with Ctrl-C.", flush=True)
    if ready_file is not None:
        told = {"url": server.url, "control_url": server.control_url, "connections": exports}
        partial = ready_file.with_suffix(".partial")
        partial.write_text(json.dumps(told), encoding="utf-8")
        partial.replace(ready_file)


def _traffic(
    args: argparse.Namespace, dataset: Dataset
) -> Callable[[ShopFloor], AbstractContextManager[object]]:
    from cogent_ops.sandbox.traffic import Traffic, offers, store_keys

    def customers(floor: ShopFloor) -> AbstractContextManager[object]:
        return Traffic(
            offers(dataset),
            seed=args.seed,
            kiosk=floor,
            online=floor,
            editor=floor,
            kiosk_per_second=args.kiosk_rate,
            online_per_second=args.online_rate,
            edits_per_second=args.edit_rate,
            stores=store_keys(dataset),
        )

    return customers
