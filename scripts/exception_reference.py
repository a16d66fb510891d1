"""The generated parts of ``docs/exceptions.md``: what ``include/exceptions.yaml`` declares, as people read it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cogent_ops.config import load_policies
from cogent_ops.domain.exceptions import FOLLOWS, OPEN, Action, Status
from cogent_ops.domain.policies import KindPolicy, Policies


def parts(root: Path) -> dict[str, str]:
    """Text by the name of its mark.

    :param root: the project's root, with ``include/``.
    """
    policies = load_policies(root / "include")
    return {"life": _life(), "kinds": "".join(_kinds(policies))}


def _life() -> str:
    rows = ""
    for status in Status:
        after = ", ".join(f"`{one}`" for one in Status if one in FOLLOWS[status])
        rows += f"| `{status}` | {'yes' if status in OPEN else 'no'} | {after} |\n"
    return f"| status | needs somebody | may become |\n|---|---|---|\n{rows}"


def _kinds(policies: Policies) -> Iterator[str]:
    yield "| kind | called | owner | within | severity (out of hours) | what a person may do |\n"
    yield "|---|---|---|---|---|---|\n"
    for kind, policy in policies.kinds.items():
        cells = (
            f"[`{kind}`](playbook.md#{policies.playbook(kind)})",
            policy.title,
            policy.owner or "as the finding says",
            _within(policy),
            _loudness(policy),
            _deeds(policy),
        )
        yield f"| {' | '.join(cells)} |\n"


def _within(policy: KindPolicy) -> str:
    night = policy.deadline_minutes_out_of_hours
    return _span(policy.deadline_minutes) + (f", at night {_span(night)}" if night is not None else "")


def _span(minutes: int) -> str:
    """Minutes of business hours, whose days differ in length: never given in days."""
    return f"{minutes // 60} h" if minutes % 60 == 0 else f"{minutes} min"


def _loudness(policy: KindPolicy) -> str:
    out = policy.severity_out_of_hours
    return policy.severity if out is policy.severity else f"{policy.severity} ({out})"


def _deeds(policy: KindPolicy) -> str:
    deeds = [*([Action.EDIT] if policy.editable else []), *policy.actions]
    return ", ".join(deed.replace("_", "-") for deed in deeds) or "–"
