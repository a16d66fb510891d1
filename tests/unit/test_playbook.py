"""The playbook: whole, true to the software, plain to read, and of one mind with the alerts."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from cogent_ops.cli import parser
from cogent_ops.config import SHIPPED, LinkConfig, load_book, load_config, load_policies
from cogent_ops.domain.exceptions import ALWAYS, Action, Kind, Owner
from cogent_ops.domain.health.model import Flow
from cogent_ops.domain.order_edits import field_name
from cogent_ops.domain.playbook import Book, term
from cogent_ops.domain.policies import KindPolicy, Policies
from cogent_ops.domain.rules import OrderRules
from cogent_ops.domain.wording import PAGES, PARTS, Span, plain, spans
from cogent_ops.services.alert_text import Places, Telling, body
from cogent_ops.services.asking import label
from cogent_ops.services.playbook import Pages, Section, card, href, playbook
from cogent_ops.services.playbook.blocks import (
    Block,
    Facts,
    Paragraph,
    Picture,
    Points,
    Sample,
    Steps,
    Table,
    Terms,
)
from cogent_ops.store import StoredException

ROOT = Path(__file__).parents[2]
INCLUDE = ROOT / "include"
POLICIES = load_policies(INCLUDE)
BOOK = load_book(INCLUDE)
LINKS = load_config(INCLUDE).links
DOCUMENT = (ROOT / "docs/playbook.md").read_text(encoding="utf-8")
KINDS = list(POLICIES.kinds)
DAGS = {
    match[1]: path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "dags").glob("*.py"))
    if (match := re.search(r'flow_dag\(\s*"([a-z_]+)"', path.read_text(encoding="utf-8")))
}


def book(policies: Policies = POLICIES, own: Book = BOOK) -> Pages:
    return playbook(policies, own, LINKS)


def texts_of(value: Any, where: str) -> Iterator[tuple[str, str]]:
    """All texts of a part of the declarations, with where they stand."""
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from texts_of(getattr(value, name), f"{where}.{name}")
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from texts_of(inner, f"{where}.{name}")
    elif isinstance(value, tuple):
        for n, inner in enumerate(value, 1):
            yield from texts_of(inner, f"{where}.{n}")
    elif isinstance(value, str):
        yield where, value


CARDS = [
    (f"{kind}.first_response", policy.first_response) if name == "first" else (f"{kind}.{name}", text)
    for kind, policy in POLICIES.kinds.items()
    for name, text in (("first", policy.first_response), *texts_of(policy.playbook, "card"))
]
TEXTS = [*CARDS, *texts_of(BOOK, "playbook")]
SPANS = [(where, one) for where, text in TEXTS for one in spans(text)]


def codes() -> Iterator[tuple[str, str]]:
    return ((where, one.text) for where, one in SPANS if one.style == "code")


# Whole


def test_there_is_a_card_for_each_kind_with_every_part() -> None:
    (cards,) = (section for section in book().sections if section.anchor == "cards")
    assert [section.anchor for section in cards.sections] == [
        Policies.playbook(kind) for kind in POLICIES.kinds
    ]
    assert set(POLICIES.kinds) == set(Kind)
    labels = [tuple(label for label, _ in facts(section).rows) for section in cards.sections]
    assert set(labels) == {
        (
            *(
                "Raised when",
                "What it means",
                "How loud",
                "Owner and deputy",
                "Acknowledge",
                "First",
                "Step by step",
            ),
            *("Safe to do", "Pausing", "Replaying", "Do not", "Tell", "Over when", "Buttons"),
        )
    }


def facts(section: Section) -> Facts:
    (found,) = (block for block in section.blocks if isinstance(block, Facts))
    return found


def said(section: Section, name: str) -> str:
    """What a card says after a label."""
    (blocks,) = (blocks for label, blocks in facts(section).rows if label == name)
    (block,) = blocks
    assert isinstance(block, Paragraph)
    return "".join(one.text for one in block.words)


def test_every_owner_has_a_morning_and_a_deputy() -> None:
    for owner in Owner:
        assert len(BOOK.routines[owner]) >= 3, owner
        assert POLICIES.owners[owner].deputy not in (None, owner)


def test_the_parts_of_the_book_are_those_that_texts_may_lead_to() -> None:
    assert [section.anchor for section in book().sections] == list(PARTS)


def test_the_flows_of_the_book_are_those_of_airflow() -> None:
    assert set(BOOK.flows) == set(DAGS)
    measured = [flow for one in BOOK.flows.values() for flow in one.measures]
    assert sorted(measured) == sorted(Flow)


# True


def words_of(command: str) -> list[str]:
    return command.removeprefix("cogent-ops").split()


def test_commands_are_real() -> None:
    found = [(where, code) for where, code in codes() if code.startswith("cogent-ops")]
    assert found
    for where, command in found:
        assert unknown_words(parser(), words_of(command)) == [], f"{where}: {command}"


def unknown_words(known: argparse.ArgumentParser, words: list[str]) -> list[str]:
    """Words of a command that the command line would not take."""
    groups = [each for each in known._actions if isinstance(each, argparse._SubParsersAction)]
    if groups and words and words[0] in groups[0].choices:
        return unknown_words(groups[0].choices[words[0]], words[1:])
    options = {name for each in known._actions for name in each.option_strings}
    is_group = bool(groups) and not any(
        not each.option_strings for each in known._actions if each not in groups
    )
    return [word for word in words if (word.startswith("-") and word not in options) or is_group]


def test_the_check_of_commands_can_fail() -> None:
    assert unknown_words(parser(), ["exceptions", "shout", "12"]) != []
    assert unknown_words(parser(), ["orders", "status", "--untill", "2026-11-24"]) == ["--untill"]


def test_what_is_typed_stands_in_backticks() -> None:
    typed = re.compile(rf"cogent-ops |\b({'|'.join(DAGS)})\b|[a-z]_[a-z]")
    assert [(where, one.text) for where, one in SPANS if one.style != "code" and typed.search(one.text)] == []


def test_what_is_named_in_backticks_exists() -> None:
    strangers = [
        (where, code)
        for where, code in codes()
        if not code.startswith(("cogent-ops", "--")) and not any(test(code) for test in KNOWN)
    ]
    assert strangers == []


def is_setting(code: str) -> bool:
    """A field of ``include/mapping.yaml``, section by section."""
    model: Any = LinkConfig
    for name in code.split("."):
        field = getattr(model, "model_fields", {}).get(name)
        if field is None:
            return False
        model = field.annotation
    return True


def is_correction(code: str) -> bool:
    """A field that a person may correct, or an example of it; or what a refund's lines look like."""
    name, _, value = code.partition("=")
    of_line = re.sub(r"\.\d+$", ".<line>", name)
    editable = {field for policy in POLICIES.kinds.values() for field in policy.editable}
    return (
        of_line in editable
        or bool(re.fullmatch(r"\d+(:\d+)?(, \d+(:\d+)?)*", code))
        or bool(value and not name)
    )


KNOWN = (
    lambda code: code in DAGS,
    lambda code: any(f'"{code}": Param(' in text for text in DAGS.values()),
    is_setting,
    is_correction,
    # What Airflow's audit log calls it when somebody turns a switch.
    lambda code: code == "patch_dag",
    # A setting as somebody may say it, its value, an example of a key, and how numbers of kiosk orders begin.
    lambda code: code in ("heal", "off", "store-leeds", OrderRules().number_prefix),
    lambda code: (ROOT / code).exists() and "/" in code,
)


def test_buttons_are_those_that_the_kind_has() -> None:
    every = {label(action) for action in Action} | {"Show the address", "Silence"}
    buttons = [(where, one.text) for where, one in SPANS if one.style == "strong"]
    menus = "".join(path.read_text(encoding="utf-8") for path in MENUS)
    assert {text for _, text in buttons if text not in AIRFLOWS and f'"{text}"' not in menus} <= every
    for kind, policy in POLICIES.kinds.items():
        has = {label(action) for action in [*ALWAYS, *policy.actions]} | (
            {"Edit"} if policy.editable else set()
        )
        named = {one.text for text in card_texts(policy) for one in spans(text) if one.style == "strong"}
        named -= set(AIRFLOWS)
        assert named - has <= (
            set(questions("drift_reconciliation")) if kind is Kind.DRIFT_HEAL else set()
        ), kind


#: Where the names in our menus stand, and those in Airflow's.
MENUS = (ROOT / "plugins/cogent_ops/plugin.py", ROOT / "plugins/cogent_ops/web/desk/frame.py")
AIRFLOWS = ("Audit Log", "Browse", "Dags", "Required Actions")


def card_texts(policy: KindPolicy) -> Iterable[str]:
    return (text for _, text in texts_of(policy.playbook, ""))


def questions(dag: str) -> list[str]:
    """What may be answered to a DAG's own question."""
    (options,) = re.findall(r"options=\[([^\]]*)\]", DAGS[dag])
    return re.findall(r'"(\w+)"', options)


def test_pages_have_the_parts_that_the_book_explains() -> None:
    web = ROOT / "plugins/cogent_ops/web"
    shown = {
        "health": [web / "templates/desk/health.html", web / "desk/health.py"],
        "inbox": [
            *sorted((web / "templates/desk").glob("*.html")),
            ROOT / "plugins/cogent_ops/services/case.py",
        ],
    }
    for page, files in shown.items():
        text = "".join(file.read_text(encoding="utf-8") for file in files)
        for named in getattr(BOOK.reading, page):
            parts = [named] if named in text else named.split(", ")
            assert [part for part in parts if part not in text] == [], named


def test_every_field_that_may_be_corrected_has_a_name() -> None:
    for policy in POLICIES.kinds.values():
        assert all(field_name(name) for name in policy.editable)


@pytest.mark.parametrize("kind", KINDS)
def test_a_card_says_that_it_can_be_replayed_exactly_if_it_can(kind: Kind) -> None:
    policy = POLICIES.kinds[kind]
    assert policy.playbook.replay.startswith("There is nothing to replay") == (kind not in REPLAYED)
    if Action.REPLAY in policy.actions:
        assert kind in REPLAYED


#: Replayed by a button, by clearing a task, by sending a file again, by a run of the catalogue or a backfill.
REPLAYED = {
    *(kind for kind, policy in POLICIES.kinds.items() if Action.REPLAY in policy.actions),
    *(Kind.TASK_FAILED, Kind.BAD_MOVEMENT, Kind.DRIFT_CATALOGUE, Kind.DRIFT_ORDERS, Kind.UNACCOUNTED),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_person_may_call_fixed_or_expected_says_so_only_where_it_may_be(kind: Kind) -> None:
    policy = POLICIES.kinds[kind]
    closes = {Action.FIXED, Action.EXPECTED, Action.LINK, Action.REJECT, Action.APPROVE, Action.REPLAY}
    by_itself = "by itself" in policy.playbook.proof or "by themselves" in policy.playbook.proof
    assert by_itself or closes.intersection(policy.actions), "nobody could ever close it"


def test_pages_that_texts_name_have_an_address() -> None:
    for page in PAGES:
        assert href(f"page:{page}").startswith("/"), page
    assert href("page:inbox", "austria") == "/cogent_ops/desk/exceptions?link=austria"
    assert href("page:dag/stock_deltas", "austria") == "/dags/stock_deltas__austria"
    assert href("card:oversell") == "#oversell"
    named = {one.target.removeprefix("page:dag/") for _, one in SPANS if one.target.startswith("page:dag/")}
    assert named <= set(DAGS)


# Plain


SENTENCES = [
    (where, sentence)
    for where, text in TEXTS
    for sentence in re.split(r"(?<=[.!?:;])\s+", plain(text))
    if len(sentence.split()) > 1
]
#: Words of engineers that nobody has to know who sells things.
JARGON = re.compile(
    r"\b(idempot\w*|watermark\w*|payload\w*|endpoint\w*|upsert\w*|GraphQL|HTTP|JSON|SQL|YAML|regex|cron|boolean|null|"
    r"schema|stack ?trace|exception handling|async\w*|deseriali\w*|mutex|race condition|dead letter\w*|latency|timeout|"
    r"worker|scheduler|triggerer|deploy\w*|config\w*|parameter\w*|webhook|token|cache\w*|commit\w*|rollback|batch\w*)\b",
    re.IGNORECASE,
)
#: Names of things that hold such a word.
NAMES = ("product master schema",)
#: Terms that a reader may meet here first, with the words by which the glossary knows them.
SPECIAL = (
    *(
        "API",
        "SKU",
        "Channel",
        "variant",
        "Messages",
        "Subscription",
        "tax category",
        "Type",
        "scope",
        "preflight",
    ),
    *(
        "backfill",
        "connection",
        "drift",
        "drill",
        "dry run",
        "full pass",
        "location",
        "Merchant Center",
    ),
    *(
        "movement",
        "night",
        "oversold",
        "replay",
        "Required Actions",
        "safety stock",
        "session",
        "silence",
        "target",
    ),
    *(
        "units at risk",
        "unexplained",
        "product master schema",
        "payment state",
        "capture",
        "link",
        "run",
        "task",
    ),
)


def test_sentences_are_short() -> None:
    lengths = {sentence: len(sentence.split()) for _, sentence in SENTENCES}
    longest = max(SENTENCES, key=lambda item: lengths[item[1]])
    assert lengths[longest[1]] <= 30, longest
    assert sum(lengths.values()) / len(lengths) <= 13


def test_it_is_free_of_jargon() -> None:
    found = []
    for where, one in SPANS:
        text = one.text
        for name in NAMES:
            text = re.sub(name, "", text, flags=re.IGNORECASE)
        if one.style != "code" and (match := JARGON.search(text)):
            found.append((where, match[0]))
    assert found == []


def test_the_glossary_explains_every_special_word_and_none_that_is_not_used() -> None:
    everything = " ".join(plain(text) for where, text in TEXTS if not where.startswith("playbook.glossary"))
    everything += " ".join(card_words())
    known = {word.lower() for word in BOOK.glossary}
    used = [word for word in SPECIAL if re.search(rf"\b{re.escape(word)}", everything, re.IGNORECASE)]
    assert [word for word in used if word.lower() not in known] == []
    assert [word for word in BOOK.glossary if not occurs(word, everything)] == []
    assert len({term(word) for word in BOOK.glossary}) == len(BOOK.glossary)


def card_words() -> Iterator[str]:
    """What the book says about kinds besides their own texts."""
    for section in walk(book().sections):
        yield section.title
        for block in section.blocks:
            if isinstance(block, Table):
                yield from block.head
            if isinstance(block, Facts):
                yield from (label for label, _ in block.rows)
                yield said(section, "How loud")


def occurs(word: str, text: str) -> bool:
    """Whether a word of the glossary, in whatever form, stands in a text."""
    stem = re.escape(re.sub(r"(e|y|ed|ing)$", "", word.lower()))
    return re.search(rf"\b{stem}", text.lower()) is not None


# Of one mind with the alerts


def walk(sections: Iterable[Section]) -> Iterator[Section]:
    for section in sections:
        yield section
        yield from walk(section.sections)


OPENED = datetime(2026, 11, 24, 10, tzinfo=UTC)


def stored(kind: Kind, owner: str) -> StoredException:
    empty: dict[str, Any] = dict.fromkeys(StoredException.__dataclass_fields__)
    known = {
        "id": 7,
        "kind": kind,
        "owner": owner,
        "record": "R",
        "message": "R is wrong.",
        "link": "default",
        "deadline": POLICIES.deadline(kind, OPENED),
        "first_seen": OPENED,
        "opened_at": OPENED,
        "place": "",
        "cause_key": "x",
        "cause_group": "x",
    }
    return StoredException(**{**empty, **known})


@pytest.mark.parametrize("kind", KINDS)
def test_alert_and_book_say_the_same(kind: Kind) -> None:
    owner = POLICIES.owner(kind, Owner.RETAIL_OPS)
    one = stored(kind, owner)
    telling = Telling("default", kind, owner, [one], 1, 1, [])
    message = body(telling, POLICIES, Places(airflow="https://airflow.test"), OPENED)
    anchor = Policies.playbook(kind)
    section = card(POLICIES, kind, owner)
    assert f"https://airflow.test/cogent_ops/desk/playbook#{anchor}" in message
    assert (section.anchor, section.title) == (anchor, POLICIES.kind(kind).title)
    assert f"First: {said(section, 'First')}" in message
    assert f"Owner: {owner}" in message
    assert said(section, "Owner and deputy").startswith(f"Owner is {owner}.")
    assert f'<a id="{anchor}"></a>' in DOCUMENT
    assert f"docs/playbook.md#{anchor}" in body(telling, POLICIES, Places(), OPENED)


@pytest.mark.parametrize("kind", KINDS)
def test_who_stands_in_is_told(kind: Kind) -> None:
    owner = POLICIES.owner(kind, Owner.RETAIL_OPS)
    deputy = POLICIES.escalation(kind, owner)
    section = card(POLICIES, kind, owner)
    assert deputy is not None
    assert deputy in said(section, "Owner and deputy").lower()
    assert f"If nobody does, {deputy} is told, once" in said(section, "Acknowledge")


@pytest.mark.parametrize(
    ("minutes", "night", "words"),
    [
        (30, 120, "Within 30 minutes in business hours, and at any hour within 2 hours by the clock."),
        (60, None, "Within 1 hour of business time; nights do not count."),
        (540, None, "Within 1 working day of business time; nights do not count."),
        (1080, None, "Within 2 working days of business time; nights do not count."),
        (600, None, "Within 10 hours of business time; nights do not count."),
    ],
)
def test_a_deadline_in_plain_words(minutes: int, night: int | None, words: str) -> None:
    changed = {"deadline_minutes": minutes, "deadline_minutes_out_of_hours": night}
    kinds = {**POLICIES.kinds, Kind.OVERSELL: POLICIES.kind("oversell").model_copy(update=changed)}
    section = card(POLICIES.model_copy(update={"kinds": kinds}), "oversell")
    assert said(section, "Acknowledge").startswith(words)


def test_the_example_is_an_alert_as_it_is_sent() -> None:
    (section,) = (section for section in book().sections if section.anchor == "reading-alerts")
    (sample,) = (block.text for block in section.blocks if isinstance(block, Sample))
    policy = POLICIES.kind("ambiguous_payment")
    assert sample.startswith(f"[CRITICAL] {policy.title}: 1\n")
    assert f"First: {policy.first_response}" in sample
    (terms,) = (block for block in section.blocks if isinstance(block, Terms))
    for part in ("At stake", "Owner", "First", "Open", "Playbook"):
        assert part in sample
        assert any(part in word for _, word, _ in terms.rows), part


# Page and document


def test_every_link_of_the_book_leads_to_something_in_it() -> None:
    anchors = [section.anchor for section in walk(book().sections)]
    anchors += [
        anchor for block in blocks() if isinstance(block, Terms) for anchor, _, _ in block.rows if anchor
    ]
    assert len(set(anchors)) == len(anchors)
    inside = {one.href.removeprefix("#") for one in all_spans() if one.href.startswith("#")}
    assert inside <= set(anchors)
    assert set(re.findall(r"\]\(#([a-z-]+)\)", DOCUMENT)) <= set(
        re.findall(r'<a id="([a-z0-9-]+)">', DOCUMENT)
    )


def blocks() -> Iterator[Block]:
    for section in walk(book().sections):
        yield from section.blocks


def all_spans() -> Iterator[Span]:
    for block in blocks():
        match block:
            case Paragraph(words):
                yield from words
            case Steps(items) | Points(items):
                yield from (one for item in items for one in item)
            case Table(_, rows):
                yield from (one for row in rows for cell in row for one in cell)
            case Terms(rows):
                yield from (one for _, _, words in rows for one in words)
            case Picture():
                yield from (one for words in block.words for one in words)
            case Facts(rows):
                for _, inner in rows:
                    for each in inner:
                        items = each.items if isinstance(each, Steps) else (each.words,)
                        yield from (one for item in items for one in item)


def test_all_that_leads_out_of_the_book_has_an_address() -> None:
    assert {one.text for one in all_spans() if one.style == "link" and not one.href} == set()


def test_the_picture_shows_every_flow_that_carries_data_and_needs_no_style_or_script() -> None:
    (picture,) = (block for block in blocks() if isinstance(block, Picture))
    carriers = {name for name, one in BOOK.flows.items() if not one.carries.startswith("Nothing")}
    for name in carriers:
        assert f">{name}<" in picture.svg
        assert f'"{name}"' in picture.mermaid
        assert any(one.text == name for words in picture.words for one in words)
    assert not re.search(r"style|<script|\son\w+=|href", picture.svg)


# What the business may change


def test_the_projects_own_book_is_the_released_one() -> None:
    assert load_book(SHIPPED.parent) == BOOK


def test_names_of_people_come_in(tmp_path: Path) -> None:
    (tmp_path / "playbook.yaml").write_text(
        "people:\n  finance: Grace Example, extension 12\n", encoding="utf-8"
    )
    own = load_book(tmp_path)
    assert own.glossary == BOOK.glossary
    (owners,) = (section for section in book(own=own).sections if section.anchor == "owners")
    table = next(block for block in owners.blocks if isinstance(block, Table))
    people = {"".join(one.text for one in row[0]): "".join(one.text for one in row[1]) for row in table.rows}
    assert people["Finance"] == "Grace Example, extension 12"
    assert people["Ecommerce"].startswith("Not filled in yet.")


def test_other_hours_and_owners_show_in_the_book() -> None:
    kinds = {
        **POLICIES.kinds,
        Kind.OVERSELL: POLICIES.kind("oversell").model_copy(update={"owner": Owner.FINANCE}),
    }
    section = card(POLICIES.model_copy(update={"kinds": kinds}), "oversell")
    assert said(section, "Owner and deputy") == "Owner is finance. Retail ops stands in."


def test_a_link_with_other_targets_is_named() -> None:
    health = LINKS["default"].health
    later = health.model_copy(update={"targets": health.targets.model_copy(update={"stock_seconds": 300})})
    links = {"default": LINKS["default"], "austria": LINKS["default"].model_copy(update={"health": later})}
    pages = playbook(POLICIES, BOOK, links)
    (flows,) = (section for section in pages.sections if section.anchor == "flows")
    table = next(block for block in flows.blocks if isinstance(block, Table))
    ages = {"".join(one.text for one in row[0]): "".join(one.text for one in row[3]) for row in table.rows}
    assert ages["stock_deltas"] == "default: stock: 60 seconds; austria: stock: 300 seconds"
    assert ages["catalogue_sync"] == "catalogue: 45 minutes"


def test_escalation_is_counted_from_the_deadline() -> None:
    assert POLICIES.kind("oversell").escalate_minutes == timedelta(hours=1).total_seconds() / 60
    assert "If nobody does, retail ops is told, once, 1 hour later." in said(
        card(POLICIES, "oversell"), "Acknowledge"
    )
