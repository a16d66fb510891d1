"""Stories of a place's stock over a sandbox, and what is true of every one of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise
from typing import Any

from tests.integration.clients.helpers import KEY, QUICK, shop
from tests.support.nights import NightWorld

from cogent_ops.clients.cloudshelf import CloudshelfAccount, CloudshelfClient
from cogent_ops.clients.commercetools import CommercetoolsClient
from cogent_ops.clients.transport import Tuning, Unlimited
from cogent_ops.domain.health.story import MOVES, Story, What
from cogent_ops.domain.priorities import Priority
from cogent_ops.domain.rules import LocationOverride
from cogent_ops.services.explain.explain import Explain

LAG = timedelta(seconds=60)
US = "sandbox-client"
#: Of somebody who waits before a page, towards what does not answer.
HASTY = Tuning(connect_seconds=1, read_seconds=2, attempts=1, total_seconds=2)


def explain(
    world: NightWorld,
    *,
    shop_url: str = "",
    kiosk_url: str = "",
    overrides: Mapping[str, LocationOverride] | None = None,
    us: frozenset[str] = frozenset({US}),
) -> Explain:
    """What explains numbers of a world.

    :param shop_url: of commercetools instead of the sandbox's; ``kiosk_url``: of Cloudshelf.
    """

    def commercetools() -> CommercetoolsClient:
        changes: dict[str, Any] = {"api_url": shop_url, "auth_url": shop_url} if shop_url else {}
        return shop(world.server, HASTY if shop_url else QUICK, **changes)

    def cloudshelf() -> CloudshelfClient:
        account = CloudshelfAccount("cloudshelf_default", kiosk_url or world.server.cloudshelf_url, KEY)
        return CloudshelfClient(account, Unlimited(), Priority.LIVE, HASTY if kiosk_url else QUICK)

    return Explain(
        world.parts.config,
        world.store,
        commercetools,
        cloudshelf,
        overrides or {},
        project=lambda: world.stock.project,
        us=lambda: us,
    )


def check(story: Story) -> Story:
    """See that a story adds up; gives it."""
    total = 0
    for step in story.steps:
        if step.is_sum:
            assert total == step.units, f"{step.text}: {total} is not {step.units}"
            total = step.units
        else:
            total += step.units
    numbers = [one for one in story.events if one.number is not None]
    assert all(one.what in MOVES for one in numbers)
    for before, after in pairwise(numbers):
        assert after.number == (before.number or 0) + (after.units or 0), after.text
    if numbers and story.shop.read_at is not None and story.shop.number is not None:
        assert numbers[-1].number == story.shop.number
    untold = sum(abs(one.units or 0) for one in story.events if one.what is What.UNEXPLAINED)
    assert story.unexplained <= untold
    assert any(step.is_unexplained for step in story.steps) == bool(story.unexplained)
    # Orders of the web shop stand where they fit, which their time says only to within the lag.
    times = [one.at for one in story.events]
    assert all(later - earlier > -LAG for earlier, later in pairwise(times))
    return story


def steps(story: Story) -> dict[str, int]:
    """Rows of the arithmetic by their text."""
    return {one.text: one.units for one in story.steps}
