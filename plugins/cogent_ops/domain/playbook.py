"""What the playbook says besides the cards of exceptions: routines, lists, and the words that it uses.

:func:`cogent_ops.config.load_book` reads this from ``include/playbook.yaml``. The cards stand with their kinds, in
``include/exceptions.yaml``. Both are written for people who run the business, in the markup of
:mod:`cogent_ops.domain.wording`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from cogent_ops.domain.exceptions import Owner
from cogent_ops.domain.health.model import Flow
from cogent_ops.domain.rules import Name, Rules
from cogent_ops.domain.wording import Text

Texts = Annotated[tuple[Text, ...], Field(min_length=1)]
DagName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]{2,60}$")]


class Place(Rules):
    """A page that people need, and how they get there."""

    page: Text = Field(description="The page, as this book calls it.")
    find: Text = Field(description="Where it is in Airflow.")
    shows: Text = Field(description="What it is for.")


class Master(Rules):
    """Data that one system is master of; all others only show it."""

    data: Text = Field(description="Which data.")
    master: Name = Field(description="Where it is right by definition.")
    shown: Text = Field(description="Where else it shows.")
    change: Text = Field(description="Where a person changes it, and where never.")


class FlowWords(Rules):
    """A flow, as people need to know it."""

    carries: Text = Field(description="What it carries, from where to where.")
    runs: Text = Field(description="When it runs by itself.")
    paused: Text = Field(description="What happens while it is paused, and how long that may be.")
    measures: tuple[Flow, ...] = Field((), description="Tiles of Sync Health that show how late it is.")


class Look(Rules):
    """A routine check."""

    at: Name = Field(description="When: a time of day, or a day of the week.")
    look: Text = Field(description="Where to look, and at what.")
    fine: Text = Field(description="What it looks like when all is well.")
    otherwise: Text = Field(description="What to do when it does not.")


class Duty(Rules):
    """An item of a list that people work off."""

    owner: Owner = Field(description="Who does it.")
    at: Name | None = Field(None, description="When. Empty: any time before the list must be done.")
    do: Text = Field(description="What to do.")
    proof: Text = Field(description="How to see that it is done.")


class Outside(Rules):
    """Somebody outside the business who can help."""

    helps: Text = Field(description="With what they can help, and what they need to be told.")
    reach: Name | None = Field(
        None, description="How they are reached, and when. Empty: nobody has filled it in."
    )


class Reading(Rules):
    """What people see on pages and in messages, and what each part of it means."""

    alert: Mapping[Name, Text] = Field(description="Parts of a message.")
    health: Mapping[Name, Text] = Field(description="Parts of the page Sync Health.")
    inbox: Mapping[Name, Text] = Field(description="Parts of the inbox and of an exception's page.")


class Book(Rules):
    """``include/playbook.yaml``: what the playbook says besides the cards of exceptions."""

    introduction: Texts = Field(description="What the book is for.")
    places: Annotated[tuple[Place, ...], Field(min_length=1)] = Field(description="Where to find what.")
    first: Texts = Field(description="What to do when an alert comes, step by step.")
    rules: Texts = Field(description="Rules that always hold.")
    people: Mapping[Owner, Text] = Field(
        default_factory=dict,
        description="Who that is here: names, telephone, hours. Empty: nobody has filled it in.",
    )
    outside: Mapping[Name, Outside] = Field(description="Who helps outside the business, by name.")
    masters: Annotated[tuple[Master, ...], Field(min_length=1)] = Field(description="Who is master of what.")
    flows: Mapping[DagName, FlowWords] = Field(description="The flows, by the id of their DAG.")
    reading: Reading = Field(description="How to read alerts and pages.")
    routines: Mapping[Owner, tuple[Look, ...]] = Field(description="Routine checks of each owner.")
    month_end: Annotated[tuple[Duty, ...], Field(min_length=1)] = Field(
        description="The list of the month's end."
    )
    pre_peak: Annotated[tuple[Duty, ...], Field(min_length=1)] = Field(
        description="The list before a peak, such as a launch or the weeks before Christmas."
    )
    glossary: Mapping[Name, Text] = Field(description="The words that the book uses, each in plain words.")

    @model_validator(mode="after")
    def _everybody_has_a_routine(self) -> Book:
        idle = [owner for owner in Owner if not self.routines.get(owner)]
        if idle:
            raise ValueError(f"routines lacks {', '.join(idle)}")
        return self


def term(word: str) -> str:
    """Anchor of a word in the glossary: ``term-units-at-risk``."""
    return f"term-{re.sub(r'[^a-z0-9]+', '-', word.lower()).strip('-')}"
