"""Questions to people: which are asked, what they say, and what their answers do.

A question is about the open exceptions of one cause. Whoever asks (``exception_review`` in Airflow) claims it in the
name of a run, so that it is asked once; no answer means hold. What is typed into an answer stays in Airflow's database,
so nothing personal belongs into it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cogent_ops.addresses import playbook_address
from cogent_ops.domain.exceptions import Action
from cogent_ops.domain.money import show
from cogent_ops.domain.order_edits import EMAIL_EDIT, field_name
from cogent_ops.domain.policies import KindPolicy, Policies
from cogent_ops.domain.wording import plain
from cogent_ops.errors import PermanentError, RetryableError
from cogent_ops.services.alert_text import line, local_time
from cogent_ops.services.review import Decision, Done, Review
from cogent_ops.store import Cause, Store, StoredException

#: Questions that one run asks at most; the next run asks the others.
QUESTIONS = 50
#: So many exceptions of a cause are named in a question; of the others it gives the number.
NAMED = 10

#: What the choices of the form do, in the order in which it shows them. Hold is what silence means.
MEANINGS: Mapping[Action, str] = {
    Action.APPROVE: "it was paid. The order goes to commercetools as a paid one.",
    Action.REPLAY: "keep the corrections in `set`, if any, and try again. An order keeps its number, so it cannot be "
    "sent twice.",
    Action.DRY_RUN: "send, take and keep nothing, only say what would be sent with the corrections in `set`. You are "
    "asked again, with the answer; give the corrections again then.",
    Action.LINK: "the order was entered by hand: give its number in commercetools in `order_number`.",
    Action.REJECT: "it becomes nothing; say why in `note`.",
    Action.EXPECTED: "it may stay as it is; say why in `note`. You do not hear of it again.",
    Action.FIXED: "you have mended it; say how in `note`.",
    Action.HOLD: "leave it as it is. You are asked again in four hours.",
}


@dataclass(frozen=True)
class Form:
    """What a person is shown.

    :param body: Markdown.
    :param options: what may be chosen; the last one is to hold.
    """

    subject: str
    body: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """What a person chose and typed.

    :param actor: who; ``None``: nobody answered in time, so the next run asks.
    :param corrections: ``location=store-leeds; price.2=12.50``.
    """

    option: str
    actor: str | None
    note: str = ""
    corrections: str = field(default="", repr=False)
    order_number: str = ""


def label(action: Action) -> str:
    """An action as the form names it."""
    return action.replace("_", " ").capitalize()


HOLD = label(Action.HOLD)
_ACTIONS = {label(action): action for action in MEANINGS}


def options(policy: KindPolicy) -> tuple[str, ...]:
    """What may be chosen about a kind."""
    return tuple(label(action) for action in MEANINGS if policy.allows(action))


class Asking:
    """The questions of one run.

    :param asked_by: the run, the same in all its tasks and tries.
    """

    def __init__(self, review: Review, asked_by: str) -> None:
        self.review, self.asked_by = review, asked_by
        self._link = review.link

    @property
    def _store(self) -> Store:
        return self.review.store

    def claim(self, now: datetime) -> list[Cause]:
        """What this run shall ask people about, one question a cause. Asking for them again gives the same."""
        kinds = self.review.policies.asked
        return self._store.questions.claim(self._link, kinds, self.asked_by, now, limit=QUESTIONS)

    def form(self, kind: str, ids: Sequence[int], now: datetime) -> Form:
        """What a person is shown about exceptions of one cause."""
        policies = self.review.policies
        policy = policies.kind(kind)
        first = [self._store.exceptions.get(self._link, each) for each in ids[:NAMED]]
        more = len(ids) - len(first)
        return Form(
            _subject(policy, first, len(ids)),
            "\n".join(_body(policies, policy, first, more, now)),
            options(policy),
        )

    def apply(self, ids: Sequence[int], answer: Answer, now: datetime) -> dict[str, int]:
        """Do what was answered; what cannot be done is asked again, and the question says why.

        Doing it again goes on with what was not done yet.

        :return: how many were done and refused.
        :raises RetryableError: when something was out of reach; the others are done.
        """
        left = self._store.questions.asked(self._link, self.asked_by, ids)
        if answer.actor is None:
            self._answered(left, None)
            return {"done": 0, "refused": 0, "unanswered": len(left)}
        decision = self._decision(answer)
        if isinstance(decision, str):
            done = [Done(each, "", False, decision) for each in left]
        else:
            done = self.review.carry_out(decision, left)
        refused = [one for one in done if not (one.is_done or one.is_later)]
        self._refuse(answer, answer.actor, refused)
        again = answer.option == label(Action.DRY_RUN)
        self._answered([one.id for one in done if one.is_done], None if again else now)
        later = [one for one in done if one.is_later]
        if later:
            raise RetryableError(f"{len(later)} of {len(done)} must wait: {later[0].message}")
        return {"done": len(done) - len(refused), "refused": len(refused), "unanswered": 0}

    def _decision(self, answer: Answer) -> Decision | str:
        """The answer as a decision, or what is wrong with it."""
        try:
            edits = _edits(answer.corrections)
        except PermanentError as error:
            return str(error)
        action = _ACTIONS[answer.option]
        return Decision(action, str(answer.actor), answer.note, edits, answer.order_number)

    def _refuse(self, answer: Answer, actor: str, refused: Iterable[Done]) -> None:
        """Let the next question say why it could not be done."""
        for one in refused:
            with self._store.begin() as conn:
                self._store.exceptions.decide(
                    conn,
                    self._link,
                    one.id,
                    Action.NOTE,
                    None,
                    actor=actor,
                    detail={"refused": answer.option, "why": one.message},
                    outcome=f"{answer.option} was not possible: {one.message}",
                )
                self._store.questions.answered(conn, self._link, self.asked_by, [one.id], at=None)

    def _answered(self, ids: Sequence[int], at: datetime | None) -> None:
        with self._store.begin() as conn:
            self._store.questions.answered(conn, self._link, self.asked_by, ids, at=at)


def _edits(text: str) -> dict[str, str]:
    """Corrections as they are typed: ``name=value``, apart by semicolons or lines."""
    edits = {}
    for part in filter(None, (each.strip() for each in re.split(r"[;\n]", text))):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise PermanentError(
                "Write corrections as name=value, such as location=store-leeds; price.2=12.50."
            )
        edits[name.strip()] = value.strip()
    if EMAIL_EDIT in edits:
        raise PermanentError(
            "Airflow keeps what is typed into its forms, so an e-mail address is given on the exception's page, or by "
            "cogent-ops exceptions edit NUMBER email=…"
        )
    return edits


def _subject(policy: KindPolicy, first: Sequence[StoredException], count: int) -> str:
    """``Payment not confirmed: CS-01J…, Leeds, £84.00``."""
    one = first[0]
    if count > 1:
        places = {each.place for each in first}
        return ", ".join(filter(None, (f"{policy.title}: {count}", places.pop() if len(places) == 1 else "")))
    amount = show(one.at_stake) if one.at_stake else ""
    return ", ".join(filter(None, (f"{policy.title}: {one.record}", one.place, amount)))


def _body(
    policies: Policies, policy: KindPolicy, first: Sequence[StoredException], more: int, now: datetime
) -> Iterator[str]:
    one = first[0]
    until = f", until {local_time(one.deadline, policies)}" if one.deadline else ""
    yield f"**{one.owner}**{until}\n"
    yield from (f"- {_plain(line(each, now))}" for each in first)
    if more:
        yield f"- and {more} more"
    if one.outcome:
        yield f"\n**Last answer:** {_quoted(one.outcome)}"
    yield f"\n**Cure:** {_plain(one.cure)}\n\n**First:** {plain(policy.first_response)}\n"
    card = policy.playbook
    yield f"{plain(card.effect)} {plain(card.safe_action)} **{plain(card.do_not)}**\n"
    yield from (
        f"- **{label(action)}**: {meaning}" for action, meaning in MEANINGS.items() if policy.allows(action)
    )
    typed = [name for name in policy.editable if name != EMAIL_EDIT]
    if typed:
        yield "\nFields are typed into `set` here, several apart by semicolons:\n"
        yield from (f"- {field_name(one)}: `{one}=…`" for one in typed)
    if EMAIL_EDIT in policy.editable:
        yield (
            "\nAn e-mail address is given on the exception's page, or by "
            f"`cogent-ops exceptions edit {one.id} email=…`, and not here."
        )
    card_at = playbook_address(policies.playbook(one.kind))
    yield f"\nStep by step: [playbook]({card_at}). On the command line: `cogent-ops exceptions show {one.id}`"


def _quoted(text: str) -> str:
    """An outcome: a sentence; or several lines, of which those with a dash are a list."""
    if "\n" not in text:
        return _plain(text)
    lines = text.splitlines()
    return "\n" + "\n".join(
        f"- {_plain(one[2:])}" if one.startswith("- ") else f"\n{_plain(one)}\n" for one in lines
    )


def _plain(text: str) -> str:
    """Text of others in Markdown: nothing in it makes a link or a heading."""
    return re.sub(r"([\\`*_\[\]<>#|])", r"\\\1", text)
