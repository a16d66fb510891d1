"""What is mended by itself, and for what a person is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cogent_ops.domain.drift.model import OURS, Cause, Finding
from cogent_ops.domain.drift.stock import place_of
from cogent_ops.domain.iso import CURRENCY_EXPONENTS
from cogent_ops.domain.rules import DriftRules

#: Where one of these was found, too, nobody knows whether a person's number has seen what is to be mended.
DOUBTFUL = frozenset({Cause.MANUAL_EDIT, Cause.MISSING_ENTRY, Cause.UNEXPLAINED})
#: So few differences are never a sign of something larger, however small the assortment.
FEW = 10


@dataclass(frozen=True)
class Plan:
    """What becomes of what can be mended.

    :param at_once: mended without asking.
    :param asked: a person decides.
    :param why: why they are asked, as a sentence.
    """

    at_once: tuple[Finding, ...]
    asked: tuple[Finding, ...]
    why: str = ""


def plan(findings: Sequence[Finding], checked: int, rules: DriftRules, currency: str) -> Plan:
    """Decide by the rules' limits.

    :param checked: SKUs at places that were compared.
    :param currency: of the link; ``heal_value`` is in its major units.
    """
    healable = tuple(one for one in findings if one.heal)
    if rules.heal == "off" or not healable:
        return Plan((), ())
    if rules.heal == "ask":
        return Plan((), healable, "The configuration asks for everything.")
    most = max(FEW, int(rules.heal_share * checked))
    if len(healable) > most:
        why = f"{len(healable):,} of {checked:,} places differ at once, more than {most:,}: something larger is wrong."
        return Plan((), healable, why)
    doubtful = {place_of(one) for one in findings if one.cause in DOUBTFUL}
    small = tuple(one for one in healable if is_small(one, rules, currency) and place_of(one) not in doubtful)
    large = tuple(one for one in healable if one not in small)
    why = (
        "They lie above the limits, their cause is not known, or somebody else has changed the quantity, too."
    )
    return Plan(small, large, why if large else "")


def is_small(finding: Finding, rules: DriftRules, currency: str) -> bool:
    """Whether one difference lies within all limits, and its cause points to ourselves."""
    limit = rules.heal_value * 10 ** CURRENCY_EXPONENTS.get(currency, 2)
    return (
        finding.cause in OURS
        and finding.heal is not None
        and abs(finding.heal) <= rules.heal_units
        and finding.amount is not None
        and abs(finding.amount) <= limit
    )
