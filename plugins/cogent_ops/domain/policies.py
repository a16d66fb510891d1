"""What is done about each kind of exception: whose it is, until when, how loudly, and what its owner may do.

:func:`cogent_ops.config.load_policies` reads this from ``include/exceptions.yaml``. Messages, the queue, the questions
in Airflow and the playbook (``docs/playbook.md``) all say what stands there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from cogent_ops.domain.business_hours import BusinessHours
from cogent_ops.domain.exceptions import ALWAYS, Action, Kind, Owner, possible
from cogent_ops.domain.rules import Name, Rules
from cogent_ops.domain.text import did_you_mean
from cogent_ops.domain.wording import Text

ChannelName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Minutes = Annotated[int, Field(ge=0, le=100_000, json_schema_extra={"unit": "min"})]

#: Fields of an order that a person may give. The number of the line follows those marked with ``.<line>``: ``price.2``.
Editable = Literal[
    "location",
    "email",
    "currency",
    "total",
    "refund_amount",
    "refund_lines",
    "sku.<line>",
    "price.<line>",
    "quantity.<line>",
]


#: What a kind may allow besides taking note of it.
Allowed = Literal[
    Action.DRY_RUN,
    Action.APPROVE,
    Action.REPLAY,
    Action.LINK,
    Action.REJECT,
    Action.EXPECTED,
    Action.FIXED,
]


class Severity(StrEnum):
    """How loudly an exception asks for somebody. Only what is critical disturbs anybody out of hours."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class Channel(Rules):
    """Where messages go, through an Airflow connection, which holds the address and the secrets."""

    type: Literal["webhook", "slack", "email"] = Field(
        "webhook",
        description='webhook: anything that takes {"text": …} by HTTP; slack: an incoming webhook of Slack; email: by '
        "SMTP.",
    )
    connection: Name = Field(
        "cogent_ops_alerts", description="Id of the Airflow connection (type http or smtp)."
    )
    to: tuple[Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$")], ...] = Field(
        (), description="For email: the addresses of the people who read it."
    )

    @model_validator(mode="after")
    def _email_has_readers(self) -> Channel:
        if (self.type == "email") != bool(self.to):
            raise ValueError("'to' names the readers of a channel of type email, and of no other")
        return self


class NamedChannel(Channel):
    """A channel with its name."""

    name: str


class OwnerPolicy(Rules):
    """How an owner is reached, and who stands in."""

    channel: ChannelName = Field("default", description="Channel for this owner's messages.")
    deputy: Owner | None = Field(
        None, description="Who is told when this owner has not acted in time. Empty: nobody."
    )


class Playbook(Rules):
    """What people need to know about a kind; it becomes its card in the playbook. How texts may name what is typed or
    clicked, and lead to a page, stands at the head of playbook.yaml.
    """

    trigger: Text = Field(description="When it is raised.")
    effect: Text = Field(description="What it means for customers, stores and the books.")
    checks: Annotated[tuple[Text, ...], Field(min_length=1, max_length=7)] = Field(
        description="What to look at first, step by step, with the place where to click."
    )
    safe_action: Text = Field(description="What can always be done without making things worse.")
    pause: Text = Field(description="When to pause which flow, and when not.")
    replay: Text = Field(description="When to try it again, and why that is safe.")
    do_not: Text = Field(description="What would make things worse.")
    tell: Text = Field(description="Who else has to know.")
    proof: Text = Field(description="How to see that it is really over.")


class KindPolicy(Rules):
    """What is done about one kind of exception."""

    title: Name = Field(description="What it is called, in the words of the business.")
    owner: Owner | None = Field(
        None, description="Who must act. Empty: whoever can mend the record at hand, as the finding says."
    )
    channel: ChannelName | None = Field(
        None, description="Channel for messages about this kind. Empty: its owner's."
    )
    deadline_minutes: Minutes = Field(
        description="Minutes of business hours in which the owner should have acted."
    )
    deadline_minutes_out_of_hours: Minutes | None = Field(
        None,
        description="Minutes by the clock, whatever the hour; the earlier of the two counts. Empty: the night does "
        "not count.",
    )
    severity: Severity = Field(description="How loudly it asks for somebody within business hours.")
    severity_out_of_hours: Severity = Field(
        description="The same outside of them; what is not critical waits for the opening."
    )
    first_response: Text = Field(description="What the owner does first.")
    escalate_to: Owner | None = Field(
        None, description="Who is told when the owner has not acted in time. Empty: the owner's deputy."
    )
    escalate_minutes: Minutes = Field(0, description="How long after the deadline they are told.")
    batch_minutes: Minutes = Field(
        0, description="How long exceptions of one cause are collected for one message. 0: it goes at once."
    )
    editable: tuple[Editable, ...] = Field(
        (), description="What a person may correct before it is tried again, in the order or on its lines."
    )
    actions: tuple[Allowed, ...] = Field(
        (), description="What a person may decide, besides taking note of it."
    )
    playbook: Playbook = Field(description="The card of the playbook.")

    @model_validator(mode="after")
    def _edits_can_be_tried(self) -> KindPolicy:
        if self.editable and Action.REPLAY not in self.actions and Action.APPROVE not in self.actions:
            raise ValueError(
                "'editable' needs replay or approve in 'actions': else no edit would ever be used"
            )
        return self

    def allows(self, action: Action) -> bool:
        """Whether a person may do this about an exception of the kind."""
        if action is Action.EDIT:
            return bool(self.editable)
        return action in ALWAYS or action in self.actions

    def may_edit(self, field: str) -> bool:
        """Whether a person may correct this field: ``location``, ``price.2``."""
        name, _, line = field.partition(".")
        return (f"{name}.<line>" if line.isdecimal() else field) in self.editable

    @property
    def is_asked(self) -> bool:
        """Whether ``exception_review`` asks a person in Airflow: something can be carried out there and then."""
        return bool({Action.APPROVE, Action.REPLAY, Action.LINK}.intersection(self.actions))


class Policies(Rules):
    """``include/exceptions.yaml``: whose exceptions are whose, and what is done about them."""

    business_hours: BusinessHours = Field(default_factory=BusinessHours, description="When people work.")
    channels: Mapping[ChannelName, Channel] = Field(
        description="Where messages go, by name. 'default' must be among them."
    )
    owners: Mapping[Owner, OwnerPolicy] = Field(description="How each owner is reached.")
    kinds: Mapping[Kind, KindPolicy] = Field(description="What is done about each kind of exception.")

    @model_validator(mode="after")
    def _is_whole(self) -> Policies:
        _none_missing("kinds", list(Kind), self.kinds)
        _none_missing("owners", list(Owner), self.owners)
        _none_missing("channels", ["default"], self.channels)
        named = [(f"owners.{name}", one.channel) for name, one in self.owners.items()]
        named += [(f"kinds.{name}", one.channel) for name, one in self.kinds.items() if one.channel]
        for place, channel in named:
            if channel not in self.channels:
                hint = did_you_mean(channel, self.channels)
                raise ValueError(f"{place} names the channel '{channel}', which is not there. {hint}".strip())
        return self

    @model_validator(mode="after")
    def _can_be_carried_out(self) -> Policies:
        for kind, policy in self.kinds.items():
            allowed = {*policy.actions, *([Action.EDIT] if policy.editable else [])}
            needless = sorted(allowed - possible(kind))
            if needless:
                raise ValueError(
                    f"kinds.{kind} allows {', '.join(needless)}, which cannot be done about this kind. Possible are: "
                    f"{', '.join(sorted(possible(kind)))}"
                )
        return self

    def kind(self, kind: str) -> KindPolicy:
        """What is done about a kind."""
        return self.kinds[Kind(kind)]

    def owner(self, kind: str, found: str) -> Owner:
        """Who must act.

        :param found: whom the finding names.
        """
        return self.kind(kind).owner or Owner(found)

    def channel(self, kind: str, owner: str) -> NamedChannel:
        """Where messages about a kind go, given whose it is."""
        return self.named(self.kind(kind).channel or self.owners[Owner(owner)].channel)

    def named(self, name: str) -> NamedChannel:
        """A channel by its name; for one that was taken out of the file meanwhile, the default stands in."""
        known = name if name in self.channels else "default"
        return NamedChannel(name=known, **dict(self.channels[known]))

    def severity(self, kind: str, moment: datetime) -> Severity:
        """How loudly a kind asks for somebody at this moment."""
        policy = self.kind(kind)
        return policy.severity if self.business_hours.is_open(moment) else policy.severity_out_of_hours

    def deadline(self, kind: str, opened: datetime) -> datetime:
        """Until when the owner should have acted about an exception that was opened then."""
        policy = self.kind(kind)
        working = self.business_hours.after(opened, policy.deadline_minutes)
        if policy.deadline_minutes_out_of_hours is None:
            return working
        return min(working, opened + timedelta(minutes=policy.deadline_minutes_out_of_hours))

    def escalation(self, kind: str, owner: str) -> Owner | None:
        """Who is told when the owner has not acted in time; ``None``: nobody else."""
        return self.kind(kind).escalate_to or self.owners[Owner(owner)].deputy

    @staticmethod
    def playbook(kind: str) -> str:
        """Anchor of a kind's card in the playbook, on its page and in ``docs/playbook.md``."""
        return kind.replace("_", "-")

    @property
    def asked(self) -> frozenset[str]:
        """Kinds about which ``exception_review`` asks a person in Airflow."""
        return frozenset(kind for kind, policy in self.kinds.items() if policy.is_asked)


def _none_missing(section: str, wanted: Collection[str], given: Collection[str]) -> None:
    missing = [one for one in wanted if one not in given]
    if missing:
        raise ValueError(f"{section} lacks {', '.join(missing)}")
