"""The handover checklist: what can be seen is looked at, and what only people know is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.calendars import LINK, Calendar
from tests.support.months import payment, sample
from tests.support.trouble import HELD
from upath import UPath

from cogent_ops.config import LinkConfig, load_config, load_policies
from cogent_ops.domain.drills import drill, drill_cause
from cogent_ops.domain.exceptions import Action, Kind, Owner
from cogent_ops.domain.handover import HOLDS, QUESTIONS, Checklist, Point, State, as_markdown
from cogent_ops.domain.health.model import Check as Looked
from cogent_ops.domain.health.model import Flow, Snapshot
from cogent_ops.domain.health.model import State as Health
from cogent_ops.domain.policies import Policies
from cogent_ops.errors import PermanentError, TargetUnavailable
from cogent_ops.services.checks import Check, failed, passed, warned
from cogent_ops.services.governance.months import Months
from cogent_ops.services.handover import Handover
from cogent_ops.services.retention import Retention
from cogent_ops.store import Store
from cogent_ops.store.schema import health_sample
from cogent_ops.store.sql import upsert

ROOT = Path(__file__).resolve().parents[3]
RELEASED = load_policies(ROOT / "include")
CONFIG = load_config(ROOT / "include").link(LINK)
ALL_IS_WELL = [passed("scopes", "All there."), warned("channels", "One has no address.", "Give it one.")]


class House:
    """A link that is handed over, at noon of 28 October."""

    def __init__(self, calendar: Calendar, root: Path) -> None:
        self.calendar, self.store, self.root = calendar, calendar.store, UPath(root)
        self.policies: Policies = RELEASED
        self.config: LinkConfig = CONFIG
        self.preflight: Callable[[], list[Check]] = lambda: ALL_IS_WELL
        calendar.on(10, 28)

    def handover(self) -> Handover:
        return Handover(
            self.config,
            self.store,
            self.policies,
            RELEASED,
            self.root,
            self.preflight,
            clock=lambda: self.calendar.at,
        )

    def checklist(self) -> Checklist:
        return self.handover().checklist()

    def point(self, key: str) -> Point:
        (found,) = (one for one in self.checklist().points if one.key == key)
        return found

    def green(self, days: int = 8, late: int = 0) -> None:
        """Sync health looked for so many days, and found the last so many looks late."""
        step = timedelta(minutes=15)
        count = days * 96
        rows = [
            sample(Flow.STOCK, self.calendar.at - number * step, 600 if number < late else 10)
            for number in range(count)
        ]
        with self.store.begin() as conn:
            upsert(conn, health_sample, rows)

    def look(self, *checks: Looked) -> None:
        with self.store.begin() as conn:
            self.store.health.save(
                conn,
                Snapshot(
                    link=LINK,
                    checked_at=self.calendar.at,
                    state=Health.GOOD,
                    sentence="All is well.",
                    flows=(),
                    checks=checks,
                ),
                "check",
            )

    def practise(self, kind: Kind, *, minutes: float = 3, delivered: bool = True) -> None:
        practice = drill(kind, drill_cause(self.calendar.at))
        self.calendar.open(practice)
        self.calendar.tell(practice, delivered=delivered)
        self.calendar.later(minutes=minutes).decide(practice, Action.ACKNOWLEDGE)
        self.calendar.decide(practice, Action.FIXED)

    def night(self) -> None:
        self.store.drift.begin(LINK, "2026-10-28", "run", backfilled=False)
        with self.store.begin() as conn:
            self.store.drift.record(conn, LINK, "2026-10-28", [], [])
            self.store.drift.finish(conn, LINK, "2026-10-28", 20_000, {}, "file:///report")


@pytest.fixture
def house(store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> House:
    return House(Calendar.over(store, monkeypatch), tmp_path)


def test_a_new_link_has_nearly_everything_to_do_and_says_what(house: House) -> None:
    checklist = house.checklist()
    assert not checklist.is_done
    keys = [one.key for one in checklist.points]
    assert len(set(keys)) == len(keys)
    assert {one.role for one in checklist.points} == set(Owner)
    for one in checklist.points:
        assert one.state is State.DONE or one.cure, one
    done = {one.key for one in checklist.points if one.state is State.DONE}
    # Nothing has happened yet; deputies come with the release, and nothing is overdue.
    assert done == {"preflight", "deputies", *(key for key in keys if key.startswith("queue/"))}
    assert {one.key for one in checklist.points if one.state is State.ASKED} == {one.key for one in QUESTIONS}


def test_a_link_that_runs_and_whose_people_have_practised_is_handed_over(house: House) -> None:
    house.policies = RELEASED.model_copy(
        update={"business_hours": RELEASED.business_hours.model_copy(update={"opens": "08:30"})}
    )
    house.config = CONFIG.model_copy(
        update={"health": CONFIG.health.model_copy(update={"heartbeat": "heartbeat"})}
    )
    for kind in (
        Kind.TASK_FAILED,
        Kind.AMBIGUOUS_PAYMENT,
        Kind.ORDER_CONTACT,
        Kind.ORDER_ARTICLE,
        Kind.ORDER_TAX,
        Kind.MASS_REMOVAL,
    ):
        house.practise(kind)
    house.store.audits.record(LINK, "run", verdict="go", counts={})
    house.night()
    house.green()
    house.look(Looked(name="access", state=Health.GOOD, message="Fine."))
    Retention(LINK, CONFIG.retention, house.store, house.root).run(house.calendar.at)
    Months(LINK, house.store, RELEASED, CONFIG.retention, house.root, clock=lambda: house.calendar.at).write()
    for question in QUESTIONS:
        house.handover().confirm(question.key, actor="ann", note="Yes, and tried.")
    checklist = house.checklist()
    assert [(one.key, one.evidence) for one in checklist.points if one.state is not State.DONE] == []
    assert checklist.is_done
    assert all(one.at is not None or one.key.startswith("queue/") for one in checklist.points)


def test_an_answer_is_recorded_shown_and_asked_for_again_after_a_year(house: House) -> None:
    point = house.handover().confirm("backups", actor="ann", note="Nightly; restored in May. jo@example.com")
    assert (point.state, point.at) == (State.DONE, house.calendar.at)
    assert "ann: Nightly; restored in May." in point.evidence
    assert "example.com" not in point.evidence
    house.calendar.later(days=1)
    house.handover().confirm("backups", actor="bob", note="Moved to the new cluster.")
    assert "bob" in house.point("backups").evidence
    house.calendar.at += HOLDS + timedelta(days=1)
    asked = house.point("backups")
    assert asked.state is State.ASKED
    assert "ask again" in asked.evidence


@pytest.mark.parametrize(
    ("key", "note", "said"),
    [
        ("backups", " ", "Say in the note"),
        ("night", "yes", "nobody can answer it"),
        ("drill/finance", "yes", "nobody can answer it"),
        ("moon", "yes", "There is no question 'moon'. There are: hours, backups"),
    ],
)
def test_what_is_looked_at_cannot_be_talked_away(house: House, key: str, note: str, said: str) -> None:
    with pytest.raises(PermanentError, match=said):
        house.handover().confirm(key, actor="ann", note=note)
    assert house.store.audit_log.entries() == []


def test_hours_that_are_as_released_may_be_said_to_be_right(house: House) -> None:
    assert house.point("hours").state is State.OPEN
    assert "Europe/London" in house.point("hours").evidence
    house.handover().confirm("hours", actor="ann", note="We are open like that.")
    assert house.point("hours").state is State.DONE


def test_what_cannot_be_looked_at_is_open_and_hides_nothing(house: House) -> None:
    def unreachable() -> list[Check]:
        raise TargetUnavailable("commercetools does not answer")

    house.preflight = unreachable
    assert "does not answer" in house.point("preflight").evidence
    house.preflight = lambda: [failed("scopes", "manage_orders is missing.", "Add it.")]
    point = house.point("preflight")
    assert (point.state, "scopes: manage_orders is missing. Add it." in point.cure) == (State.OPEN, True)


def test_a_channel_counts_when_it_has_delivered_and_nothing_waits(house: House) -> None:
    house.practise(Kind.TASK_FAILED)
    assert house.point("channels").state is State.DONE
    one = replace(HELD, cause_key="x")
    house.calendar.open(one)
    house.calendar.tell(one, delivered=False)
    assert house.point("channels").state is State.DONE
    house.calendar.later(minutes=20)
    assert "messages wait for 'default'" in house.point("channels").evidence
    house.calendar.later(days=60)
    assert "'default' never within 35 days" in house.point("channels").evidence


@pytest.mark.parametrize(
    ("minutes", "delivered", "state"),
    [(3, True, State.DONE), (300, True, State.OPEN), (3, False, State.OPEN)],
)
def test_a_drill_counts_when_it_arrived_and_was_taken_up_in_time(
    house: House, minutes: float, delivered: bool, state: State
) -> None:
    house.practise(Kind.ORDER_TAX, minutes=minutes, delivered=delivered)
    assert house.point("drill/finance").state is state
    assert house.point("drill/ecommerce").evidence == "There was none."
    house.calendar.later(days=91)
    point = house.point("drill/finance")
    assert (point.state, point.cure) == (State.OPEN, "cogent-ops drill order_money")


@pytest.mark.parametrize(
    ("days", "late", "state"),
    [(8, 0, State.DONE), (8, 4, State.DONE), (8, 40, State.OPEN), (3, 0, State.OPEN)],
)
def test_health_must_have_been_good_for_a_week(house: House, days: int, late: int, state: State) -> None:
    house.green(days, late)
    assert house.point("health").state is state


def test_what_is_overdue_and_unaccounted_for_is_open(house: House) -> None:
    house.look()
    assert house.point("accounted").state is State.DONE
    house.calendar.open(payment(1), replace(HELD, kind=Kind.UNACCOUNTED, cause_key="units/leeds"))
    assert house.point("accounted").state is State.OPEN
    house.calendar.later(days=2)
    assert "1 exceptions are overdue" in house.point("queue/retail_ops").evidence
    house.calendar.decide(payment(1), Action.ACKNOWLEDGE)
    assert house.point("queue/retail_ops").state is State.DONE


def test_what_is_wrong_outside_is_named(house: House) -> None:
    house.look(
        Looked(name="Messages", state=Health.UNKNOWN, message="Not allowed to look."),
        Looked(name="credential", state=Health.LATE, message="It ends in 5 days.", cure="Renew it."),
    )
    point = house.point("outside")
    assert (point.state, point.cure) == (State.OPEN, "credential: It ends in 5 days. Renew it.")
    assert "not to be seen: Messages" in point.evidence


def test_other_links_answers_do_not_count(house: House) -> None:
    house.store.audit_log.write(
        "ann", "confirm_handover", "handover/backups", {"note": "yes"}, link="austria"
    )
    assert house.point("backups").state is State.ASKED


def test_it_prints_as_a_document(house: House) -> None:
    house.handover().confirm("backups", actor="ann", note="Yes.")
    text = as_markdown(house.checklist())
    assert text.startswith("# Handover of link 'default'\n")
    assert "- [x] **backups**: Are Airflow's database" in text
    assert "  ann: Yes. (2026-10-28)" in text
    assert "- [ ] **night**: Both systems were compared last night." in text
    assert text.count("\n## ") == len(Owner)
