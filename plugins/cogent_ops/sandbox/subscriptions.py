"""Subscriptions of the simulated project: what a queue outside is told, and what it never hears.

Nothing is really sent; it is counted. What a Subscription that has stopped should have delivered is discarded, as the
API's description has it; what one with trouble that may pass holds back is delivered later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from cogent_ops.sandbox.actions import Action, setter, unique_key, with_field
from cogent_ops.sandbox.answers import Answer, ApiError, Json, invalid_input, json_answer
from cogent_ops.sandbox.shapes import DRAFTS, ENUMS, check
from cogent_ops.sandbox.state import CommercetoolsState, fate

MOST = 50
HEALTHY = "Healthy"
_HEALTH = {HEALTHY: 200, "TemporaryError": 503}


def create_subscription(state: CommercetoolsState, draft: Any) -> Json:
    """Create a Subscription; it delivers from now on.

    :raises ApiError: 400 when it is not described right, or there are too many.
    """
    check(DRAFTS["SubscriptionDraft"], draft)
    unique_key(state, "subscriptions", draft.get("key"))
    if not draft.get("messages") and not draft.get("changes"):
        raise invalid_input("A Subscription needs messages, changes or events.")
    if len(state["subscriptions"]) >= MOST:
        raise ApiError(400, "MaxResourceLimitExceeded", f"A project has {MOST} Subscriptions at most.")
    return state.add(
        "subscriptions",
        {
            "key": draft.get("key"),
            "destination": draft["destination"],
            "messages": draft.get("messages") or [],
            "changes": draft.get("changes") or [],
            "events": [],
            "format": draft.get("format") or {"type": "Platform"},
            "status": HEALTHY,
        },
    )


def _set_key(state: CommercetoolsState, old: Json, action: Json) -> Json:
    unique_key(state, "subscriptions", action.get("key"), old["id"])
    return with_field(old, "key", action.get("key"))


def _change_destination(state: CommercetoolsState, old: Json, action: Json) -> Json:
    """Another destination is what starts a stopped Subscription again."""
    settle(state, old["id"], HEALTHY)
    return {**old, "destination": action["destination"], "status": HEALTHY}


def _list(name: str) -> Action:
    write = setter(name)
    return lambda state, old, action: write(state, old, {**action, name: action.get(name) or []})


SUBSCRIPTIONS: dict[str, Action] = {
    "setKey": _set_key,
    "setMessages": _list("messages"),
    "setChanges": _list("changes"),
    "changeDestination": _change_destination,
}


def health(found: Json) -> Answer:
    """What ``GET /subscriptions/{id}/health`` answers, which asks for no access token."""
    status = _HEALTH.get(found["status"], 400)
    if status == 200:
        return Answer(200, b"")
    text = f"The Subscription's status is {found['status']}."
    return json_answer(
        status,
        {
            "statusCode": status,
            "message": text,
            "errors": [{"code": "InvalidOperation" if status == 400 else "General", "message": text}],
        },
    )


def change_status(state: CommercetoolsState, given: Mapping[str, Any]) -> Json:
    """Give a Subscription a status: ``subscription`` (key or id), ``status``.

    :raises ValueError: for a status that there is not, or a Subscription that there is not.
    """
    status, named = given["status"], given["subscription"]
    if status not in ENUMS["SubscriptionHealthStatus"]:
        raise ValueError(f"'{status}' is none of: {', '.join(ENUMS['SubscriptionHealthStatus'])}")
    subscriptions = state["subscriptions"]
    old = subscriptions.get(named) or subscriptions.first("key", named)
    if old is None:
        raise ValueError(f"there is no Subscription {named}")
    settle(state, old["id"], status)
    # A status changes by itself, not by an update: the version stays.
    subscriptions.put({**old, "status": status})
    return {"id": old["id"], "status": status}


def settle(state: CommercetoolsState, identifier: str, status: str) -> None:
    """What becomes of notifications that were held back, now that the status is another."""
    told = state.notified.setdefault(identifier, Counter())
    held = told.pop("held", 0)
    told[fate(status)] += held


def told(state: CommercetoolsState) -> list[Json]:
    """What each Subscription has delivered, holds back, and has discarded."""
    return [
        {
            "id": one["id"],
            "key": one.get("key"),
            "status": one["status"],
            **{
                name: state.notified.get(one["id"], Counter())[name]
                for name in ("delivered", "held", "discarded")
            },
        }
        for one in state["subscriptions"]
    ]
