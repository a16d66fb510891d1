"""Whose exceptions are whose and what may be done: the released declaration, and what a declaration may say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from cogent_ops.config import SHIPPED
from cogent_ops.domain.exceptions import (
    ALWAYS,
    CAPTURED_ORDERS,
    FOLLOWS,
    HELD_ORDERS,
    LEADS_TO,
    OPEN,
    Action,
    Kind,
    Owner,
    Status,
    may_follow,
    possible,
)
from cogent_ops.domain.policies import Policies, Severity
from cogent_ops.yaml_file import YamlFile

RAW = YamlFile(SHIPPED).data
LOUDNESS = list(Severity)
TUESDAY_NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
TUESDAY_NIGHT = datetime(2026, 11, 24, 22, tzinfo=UTC)


def changed(path: str, value: Any) -> dict[str, Any]:
    """The released declaration with another value at a place."""
    *sections, name = path.split("/")
    data = inner = {**RAW}
    for section in sections:
        inner[section] = {**inner[section]}
        inner = inner[section]
    inner[name] = value
    return data


@pytest.fixture
def policies() -> Policies:
    return Policies.model_validate(RAW)


# The life of an exception


def test_every_status_has_its_followers_and_none_is_a_dead_end() -> None:
    assert set(FOLLOWS) == set(Status)
    assert all(FOLLOWS[status] for status in Status)
    assert {status for status in Status if Status.NEW in FOLLOWS[status]} == set(Status) - set(OPEN)
    assert all(may_follow(status, status) for status in Status)


@pytest.mark.parametrize(
    ("before", "after", "allowed"),
    [
        (Status.NEW, Status.IN_PROGRESS, True),
        (Status.IN_PROGRESS, Status.ACKNOWLEDGED, True),
        (Status.ACKNOWLEDGED, Status.NEW, False),
        (Status.FIXED, Status.NEW, True),
        (Status.FIXED, Status.REJECTED, False),
        (Status.EXPECTED, Status.FIXED, False),
        (Status.REJECTED, Status.IN_PROGRESS, False),
    ],
)
def test_what_may_follow(before: Status, after: Status, allowed: bool) -> None:
    assert may_follow(before, after) is allowed


def test_every_action_that_closes_says_so_and_nothing_held_is_closed_behind_the_orders_back() -> None:
    closing = {action for action, status in LEADS_TO.items() if status not in OPEN}
    assert closing == {Action.LINK, Action.REJECT, Action.EXPECTED, Action.FIXED}
    for kind in HELD_ORDERS:
        assert possible(kind) & closing == {Action.LINK, Action.REJECT}
    for kind in CAPTURED_ORDERS:
        assert not possible(kind) & {Action.LINK, Action.REJECT, Action.APPROVE}
    assert [kind for kind in Kind if Action.APPROVE in possible(kind)] == [Kind.AMBIGUOUS_PAYMENT]


# What is released


def test_every_kind_is_declared_and_nothing_else(policies: Policies) -> None:
    assert list(RAW["kinds"]) == [kind.value for kind in policies.kinds]
    assert set(policies.kinds) == set(Kind)
    assert set(policies.owners) == set(Owner)


@pytest.mark.parametrize("kind", Kind)
def test_a_kind_can_be_worked_off(policies: Policies, kind: Kind) -> None:
    policy = policies.kind(kind)
    owner = policies.owner(kind, Owner.PLATFORM)
    assert policies.escalation(kind, owner) not in (None, owner)
    assert policies.channel(kind, owner).name in policies.channels
    assert LOUDNESS.index(policy.severity_out_of_hours) >= LOUDNESS.index(policy.severity)
    if kind in HELD_ORDERS:
        assert policy.is_asked
        assert {Action.REJECT, Action.LINK} <= set(policy.actions)
    assert all(policy.allows(action) for action in ALWAYS)


def test_the_owner_of_the_file_counts_before_the_findings(policies: Policies) -> None:
    assert policies.owner("order_tax", "ecommerce") is Owner.FINANCE
    assert policies.owner("product_held", "ecommerce") is Owner.ECOMMERCE


def test_only_what_is_critical_is_loud_at_night(policies: Policies) -> None:
    assert policies.severity("ambiguous_payment", TUESDAY_NOON) is Severity.CRITICAL
    assert policies.severity("ambiguous_payment", TUESDAY_NIGHT) is Severity.WARNING
    assert policies.severity("task_failed", TUESDAY_NIGHT) is Severity.CRITICAL


def test_a_deadline_counts_business_hours_unless_the_night_counts_too(policies: Policies) -> None:
    morning = datetime(2026, 11, 25, 9, tzinfo=UTC)
    assert policies.deadline("ambiguous_payment", TUESDAY_NOON) == TUESDAY_NOON + timedelta(hours=1)
    assert policies.deadline("ambiguous_payment", TUESDAY_NIGHT) == morning + timedelta(hours=1)
    assert policies.deadline("task_failed", TUESDAY_NIGHT) == TUESDAY_NIGHT + timedelta(minutes=240)
    assert policies.deadline("task_failed", TUESDAY_NOON) == TUESDAY_NOON + timedelta(hours=1)


def test_a_kinds_own_channel_and_escalation_count_before_its_owners() -> None:
    mail = {"type": "email", "connection": "smtp", "to": ["finance@example.com"]}
    data = changed("channels/mail", mail)
    data["kinds"] = {**data["kinds"], "order_tax": {**RAW["kinds"]["order_tax"], "channel": "mail"}}
    policies = Policies.model_validate(data)
    assert policies.channel("order_tax", "finance").name == "mail"
    assert policies.channel("order_money", "finance").name == "default"
    assert policies.escalation("order_tax", "finance") is Owner.ECOMMERCE
    assert policies.escalation("oversell", "customer service") is Owner.RETAIL_OPS
    assert policies.escalation("product_held", "merchandising") is Owner.ECOMMERCE


def test_edits_are_named_with_their_line(policies: Policies) -> None:
    policy = policies.kind("order_money")
    assert all(map(policy.may_edit, ("total", "price.1", "quantity.12")))
    assert not any(map(policy.may_edit, ("price", "price.", "price.x", "sku.1", "total.1", "email", "")))
    assert policies.kind("order_contact").may_edit("email")


def test_people_are_asked_about_what_can_be_carried_out_at_once(policies: Policies) -> None:
    assert policies.asked >= HELD_ORDERS | {Kind.STOCK_REFUSED}
    assert not policies.asked & {Kind.PRODUCT_HELD, Kind.BAD_MOVEMENT, Kind.MASS_REMOVAL}


def test_the_playbook_has_a_card_for_each(policies: Policies) -> None:
    assert policies.playbook("ambiguous_payment") == "ambiguous-payment"


# What is refused


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("kinds", {}, "kinds lacks product_held, "),
        ("owners", {"finance": {}}, "owners lacks retail ops, "),
        ("channels", {"mail": {"type": "webhook"}}, "channels lacks default"),
        ("owners/finance/channel", "mail", "owners.finance names the channel 'mail', which is not there"),
        (
            "kinds/oversell/channel",
            "defaul",
            "kinds.oversell names the channel 'defaul'.*Did you mean 'default'",
        ),
        ("channels/default", {"type": "email"}, "'to' names the readers"),
        ("channels/default", {"type": "slack", "to": ["a@example.com"]}, "'to' names the readers"),
        ("channels/default", {"type": "email", "to": ["nobody"]}, "match"),
        ("kinds/oversell/actions", ["acknowledge"], "Input should be"),
        ("kinds/oversell/actions", ["approve"], "kinds.oversell allows approve, which cannot be done"),
        ("kinds/oversell/editable", ["location"], "needs replay or approve"),
        ("kinds/order_line/actions", ["replay", "fixed"], "kinds.order_line allows fixed"),
        ("kinds/stock_refused/editable", ["location"], "kinds.stock_refused allows edit"),
        ("kinds/order_line/editable", ["price"], "price.<line>"),
        ("kinds/order_line/owner", "sales", "'finance'"),
        ("kinds/order_line/severity", "loud", "'critical'"),
        ("kinds/order_line/deadline_minutes", -1, "greater than or equal to 0"),
        ("kinds/order_line/first_response", "Look.", "at least 10"),
    ],
)
def test_a_declaration_that_makes_no_sense_is_refused(path: str, value: Any, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Policies.model_validate(changed(path, value))
