"""The playbook as a whole, put together from the policies and the business's own book.

The page in Airflow and ``docs/playbook.md`` both show what :func:`playbook` gives, so that they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from cogent_ops.config import LinkConfig
from cogent_ops.domain.exceptions import Action, Kind, Owner, Status
from cogent_ops.domain.health.model import Flow
from cogent_ops.domain.playbook import Book, Duty, Look, term
from cogent_ops.domain.policies import Policies
from cogent_ops.domain.rules import FreshnessTargets
from cogent_ops.domain.text import counted
from cogent_ops.domain.wording import Words
from cogent_ops.links import DEFAULT_LINK
from cogent_ops.services.alert_text import Places, Telling, body, subject
from cogent_ops.services.case import ENDING, LABELS, MEANINGS, QUICK, TRYING
from cogent_ops.services.playbook.blocks import (
    Block,
    Pages,
    Paragraph,
    Picture,
    Points,
    Sample,
    Section,
    Steps,
    Table,
    Terms,
)
from cogent_ops.services.playbook.card import AS_FOUND, card, opening, within
from cogent_ops.services.playbook.leads import href, words
from cogent_ops.services.playbook.picture import picture
from cogent_ops.store import StoredException

TITLE = "Playbook"
NOT_FILLED_IN = "Not filled in yet. Write it into `include/playbook.yaml`."
_TARGETS = {
    Flow.CATALOGUE: ("catalogue_minutes", "minute"),
    Flow.STOCK: ("stock_seconds", "second"),
    Flow.AVAILABILITY: ("availability_seconds", "second"),
    Flow.ORDERS: ("orders_seconds", "second"),
    Flow.STATUS: ("status_minutes", "minute"),
    Flow.DRIFT: ("drift_hours", "hour"),
}
_BUTTONS = {LABELS[action]: MEANINGS[action] for action in (*QUICK, *TRYING, *ENDING, Action.NOTE)}
#: A Tuesday afternoon, so that the deadline of the example falls into most people's business hours.
_EXAMPLE_AT = datetime(2026, 11, 24, 14, 24, tzinfo=UTC)


def playbook(
    policies: Policies, book: Book, links: Mapping[str, LinkConfig], *, link: str = DEFAULT_LINK
) -> Pages:
    """The whole book.

    :param links: all links, whose targets it names.
    :param link: the link whose pages its links lead to.
    """
    return Pages(TITLE, tuple(_Writer(policies, book, links, link).sections()))


class _Writer:
    """Puts the book together."""

    def __init__(self, policies: Policies, book: Book, links: Mapping[str, LinkConfig], link: str) -> None:
        self.policies, self.book, self.links, self.link = policies, book, links, link

    def sections(self) -> Iterable[Section]:
        """Its parts in their order."""
        book, reading = self.book, self.book.reading
        yield Section("about", "What this book is for", tuple(self._paragraphs(book.introduction)))
        yield Section("where", "Where to find what", (self._places(),))
        rules = Paragraph(self._words("Rules that always hold:"))
        yield Section(
            "alert", "When an alert comes", (self._steps(book.first), rules, self._points(book.rules))
        )
        yield Section("picture", "The flow of data in one picture", (self._picture(),))
        yield Section("masters", "Who is master of what", (self._masters(),))
        yield Section("flows", "The flows, and what pausing one means", tuple(self._flows()))
        yield Section("owners", "Who owns what, and who stands in", tuple(self._owners()))
        yield Section("reading-alerts", "How to read an alert", (self._sample(), self._terms(reading.alert)))
        yield Section("reading-health", "How to read Sync Health", (self._terms(reading.health),))
        buttons = Paragraph(self._words("What the buttons of an exception's page do:"))
        yield Section(
            "reading-inbox",
            "How to read the inbox",
            (self._terms(reading.inbox), buttons, self._terms(_BUTTONS)),
        )
        yield Section("routines", "Routine checks, by team", (), tuple(self._routines()))
        yield Section("month-end", "At the month's end", (self._duties(book.month_end),))
        yield Section("pre-peak", "Before a peak", (self._duties(book.pre_peak),))
        yield Section("cards", "Alert cards", (self._index(),), tuple(self._cards()))
        yield Section("glossary", "Glossary", (self._glossary(),))

    # Pieces

    def _words(self, text: str) -> Words:
        return words(text, self.link)

    def _paragraphs(self, texts: Iterable[str]) -> Iterable[Paragraph]:
        return (Paragraph(self._words(text)) for text in texts)

    def _steps(self, texts: Iterable[str]) -> Steps:
        return Steps(tuple(map(self._words, texts)))

    def _points(self, texts: Iterable[str]) -> Points:
        return Points(tuple(map(self._words, texts)))

    def _terms(self, meanings: Mapping[str, str]) -> Terms:
        return Terms(tuple(("", word, self._words(meaning)) for word, meaning in meanings.items()))

    def _table(self, head: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
        return Table(tuple(head), tuple(tuple(map(self._words, row)) for row in rows))

    # Parts

    def _picture(self) -> Picture:
        drawn = picture()
        leading = tuple(
            tuple(replace(one, href=href(one.target, self.link)) for one in sentence)
            for sentence in drawn.words
        )
        return replace(drawn, words=leading)

    def _places(self) -> Table:
        rows = ((one.page, one.find, one.shows) for one in self.book.places)
        return self._table(("Page", "Where", "What for"), rows)

    def _masters(self) -> Table:
        return self._table(
            ("Data", "Master", "Shown elsewhere", "Where a person changes it"),
            ((one.data, one.master, one.shown, one.change) for one in self.book.masters),
        )

    def _flows(self) -> Iterable[Block]:
        yield self._table(
            ("Flow", "Carries", "Runs", "At most this old", "While it is paused"),
            (
                (f"[{name}](page:dag/{name})", one.carries, one.runs, self._age(one.measures), one.paused)
                for name, one in self.book.flows.items()
            ),
        )
        others = [name for name in self.links if name != DEFAULT_LINK]
        if others:
            named = ", ".join(f"`stock_deltas__{name}`" for name in others)
            yield Paragraph(
                self._words(f"Each link has flows of its own, which are named after it, such as {named}.")
            )

    def _age(self, measures: Iterable[Flow]) -> str:
        """The targets of some tiles; where links differ, each one's."""
        targets = {name: _age(config.health.targets, measures) for name, config in self.links.items()}
        if len(set(targets.values())) <= 1:
            return next(iter(targets.values()), "")
        return "; ".join(f"{name}: {target}" for name, target in targets.items())

    def _owners(self) -> Iterable[Block]:
        yield Paragraph(
            self._words(
                f"Business hours are {opening(self.policies.business_hours)}. Deadlines are counted in them."
            )
        )
        yield self._table(
            ("Team", "Who that is here", "Deputy", "Alerts go to", "Owns"), map(self._owner, Owner)
        )
        as_found = [kind for kind, policy in self.policies.kinds.items() if policy.owner is None]
        if as_found:
            yield Paragraph(
                self._words(
                    f"Owned by {AS_FOUND}, because it depends on what is wrong: {self._titles(as_found)}."
                )
            )
        yield self._table(
            ("Outside", "Helps with", "How to reach them"),
            ((name, one.helps, one.reach or NOT_FILLED_IN) for name, one in self.book.outside.items()),
        )

    def _owner(self, owner: Owner) -> tuple[str, ...]:
        policy = self.policies.owners[owner]
        kinds = [kind for kind, one in self.policies.kinds.items() if one.owner is owner]
        return (
            owner.capitalize(),
            self.book.people.get(owner, NOT_FILLED_IN),
            policy.deputy or "Nobody",
            f"channel `{policy.channel}`",
            self._titles(kinds) or "Only what the exception names it for",
        )

    def _titles(self, kinds: Iterable[Kind]) -> str:
        return ", ".join(f"[{self.policies.kind(kind).title}](card:{kind})" for kind in kinds)

    def _sample(self) -> Sample:
        """An alert, made by what makes them."""
        one = _example(self.policies)
        telling = Telling("default", one.kind, one.owner, [one], 1, 1, [one.at_stake] if one.at_stake else [])
        places = Places(airflow="https://airflow.example.com")
        head = subject(telling, self.policies, _EXAMPLE_AT)
        return Sample(f"{head}\n\n{body(telling, self.policies, places, _EXAMPLE_AT)}")

    def _routines(self) -> Iterable[Section]:
        for owner in Owner:
            rows = map(_look, self.book.routines[owner])
            table = self._table(("When", "Look at", "Fine when", "Otherwise"), rows)
            yield Section(
                f"routines-{owner.replace(' ', '-').replace('/', '-')}", owner.capitalize(), (table,)
            )

    def _duties(self, duties: Iterable[Duty]) -> Table:
        rows = ((one.at or "Before", one.owner, one.do, one.proof) for one in duties)
        return self._table(("When", "Who", "What", "Done when"), rows)

    def _index(self) -> Table:
        hours = self.policies.business_hours
        rows = (
            (f"[{policy.title}](card:{kind})", f"`{kind}`", policy.owner or "As named", within(policy, hours))
            for kind, policy in self.policies.kinds.items()
        )
        return self._table(("Alert", "Kind", "Owner", "Acknowledge"), rows)

    def _cards(self) -> Iterable[Section]:
        return (card(self.policies, kind, link=self.link) for kind in self.policies.kinds)

    def _glossary(self) -> Terms:
        rows = sorted(self.book.glossary.items(), key=lambda item: item[0].lower())
        return Terms(tuple((term(word), word, self._words(meaning)) for word, meaning in rows))


def _look(one: Look) -> tuple[str, ...]:
    return one.at, one.look, one.fine, one.otherwise


def _age(targets: FreshnessTargets, measures: Iterable[Flow]) -> str:
    found = []
    for flow in measures:
        field, unit = _TARGETS[flow]
        found.append(f"{flow}: {counted(getattr(targets, field), unit)}")
    return ", ".join(found) or "–"


def _example(policies: Policies) -> StoredException:
    """An order whose payment is unclear, 22 minutes old."""
    opened, kind = _EXAMPLE_AT - timedelta(minutes=22), Kind.AMBIGUOUS_PAYMENT
    policy = policies.kind(kind)
    return StoredException(
        id=1041,
        link=DEFAULT_LINK,
        kind=kind,
        cause_key="order/example",
        record="CS-01JDFX0000ABCDEFGHJKMNPQRS",
        field="status",
        rule="",
        message="Order CS-01JDFX0000ABCDEFGHJKMNPQRS, Leeds: It was placed at 2026-11-24 13:47 UTC, and Cloudshelf "
        "still does not say whether it was paid.",
        cure="",
        owner=policy.owner or Owner.RETAIL_OPS,
        severity=policy.severity,
        status=Status.NEW,
        deadline=policies.deadline(kind, opened),
        count=1,
        first_seen=opened,
        last_seen=_EXAMPLE_AT,
        resolved_at=None,
        payload={},
        run_key="",
        cause_group="order/example",
        place="Leeds",
        amount=8400,
        currency="GBP",
        replays=0,
        outcome=None,
        opened_at=opened,
        acknowledged_at=None,
        alerted_at=None,
        escalated_at=None,
        asked_by=None,
        asked_at=None,
    )
