"""What somebody changed lately, so that it can be laid beside the curves: most trouble begins with a change.

Configuration lies in files, which nobody announces. Each check compares their fingerprints with those of the check
before, and what differs goes into the audit log.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path

from cogent_ops.domain.health.model import Change
from cogent_ops.domain.text import counted
from cogent_ops.store import Store
from cogent_ops.store.ledger import LogEntry

#: So far back changes are shown, and so many of them at most.
SHOWN_DAYS = timedelta(days=7)
MOST = 100
#: Who notes what changed without a word, and the kind under which fingerprints are kept.
ACTOR, SUBJECT = "sync_health", "configuration"
#: Id of the package's version among the fingerprints of files.
PACKAGE = "package cogent_ops"
#: Files that decide something; all else in the folder does not count.
_SUFFIXES = (".yaml", ".yml", ".json")


def fingerprints(folder: Path | None, version: str) -> dict[str, str]:
    """What decides how the flows behave: files of ``include/`` by name, and the package's version.

    :param folder: ``None``: there is none.
    """
    found = {PACKAGE: version}
    files = sorted(folder.rglob("*")) if folder is not None else []
    for file in files:
        if folder is not None and file.suffix in _SUFFIXES and file.is_file():
            name = file.relative_to(folder).as_posix()
            found[name] = _hash(file)
    return found


def _hash(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        # Whoever needs the file says so; that it cannot be read is a change like any other.
        return f"unreadable: {type(error).__name__}"


class Changes:
    """Notes and lists the changes of a link."""

    def __init__(self, link: str, store: Store) -> None:
        self.link, self.store = link, store

    def note(self, present: Mapping[str, str], run_key: str) -> int:
        """Note what is not as it was at the check before; how much that is. At the first check nothing is."""
        before = self.store.fingerprints.known(
            self.link, SUBJECT, [*self.store.fingerprints.ids(self.link, SUBJECT)]
        )
        changed = {name for name in {*before, *present} if before.get(name) != present.get(name)}
        if not changed:
            return 0
        for name in sorted(changed if before else ()):
            detail = {"what": name, "how": _how(name, before.get(name), present.get(name))}
            self.store.audit_log.write(ACTOR, SUBJECT, SUBJECT, detail, link=self.link)
        self.store.fingerprints.remember(self.link, SUBJECT, present, run_key)
        self.store.fingerprints.forget(self.link, SUBJECT, before.keys() - present.keys())
        return len(changed) if before else 0

    def lately(self, now: datetime) -> tuple[Change, ...]:
        """What was changed in the last days, the oldest first."""
        since = now - SHOWN_DAYS
        deeds = self.store.health.deeds(self.link, since, ACTIONS, MOST)
        found = [*told(deeds), *self.gaps(since)]
        return tuple(sorted(found, key=lambda one: one.at))[-MOST:]

    def gaps(self, since: datetime) -> Iterator[Change]:
        """Times since a moment in which a source outside told us nothing."""
        for gap in self.store.gaps.recent(self.link, since):
            what = "commercetools' Messages" if gap.source == "messages" else f"Subscription {gap.name}"
            yield Change(at=gap.began_at, actor="commercetools", what=f"{what}: told us nothing from here on")
            if gap.reconciled_at is not None:
                given_up = gap.detail.get("given_up")
                how = f"was left unread: {given_up}" if given_up else "was read again and compared"
                yield Change(at=gap.reconciled_at, actor=ACTOR, what=f"{what}: the gap {how}")


def told(deeds: Iterable[LogEntry]) -> Iterator[Change]:
    """Deeds in words; what one person did to many things in the same minute is one deed."""
    for (actor, action, _), some in groupby(deeds, lambda one: (one.actor, one.action, _minute(one))):
        entries = list(some)
        if action in _TOGETHER:
            yield Change(at=entries[0].at, actor=actor, what=_TOGETHER[action](len(entries)))
            continue
        for one in entries:
            yield Change(at=one.at, actor=actor, what=_WORDS[action](one))


def _minute(entry: LogEntry) -> datetime:
    return entry.at.replace(second=0, microsecond=0)


def _how(name: str, before: str | None, after: str | None) -> str:
    if name == PACKAGE:
        return f"{before} → {after}"
    if before is None:
        return "added"
    return "removed" if after is None else "changed"


def _number(entry: LogEntry) -> str:
    return entry.subject.rpartition("/")[2]


_TOGETHER: Mapping[str, Callable[[int], str]] = {
    "heal": lambda count: f"drift: {counted(count, 'difference')} mended",
}
_WORDS: Mapping[str, Callable[[LogEntry], str]] = {
    SUBJECT: lambda one: f"configuration: {one.detail.get('what')} {one.detail.get('how')}",
    "silence": lambda one: f"silenced {one.detail.get('kind')}: {one.detail.get('reason')}",
    "lift_silence": lambda one: f"silence {_number(one)} lifted",
    "accept_audit": lambda one: f"findings of catalogue audit {_number(one)} accepted",
    "decline": lambda one: f"drift: {counted(len(one.detail.get('findings', ())), 'difference')} left alone",
    "retry_stock": lambda one: f"stock of {one.subject} tried again",
    "begin_protection": lambda one: (
        f"protection while late begins: {one.detail.get('units')} units at {one.detail.get('places')} places"
    ),
    "end_protection": lambda one: "protection while late ends",
    "confirm_handover": lambda one: f"handover: {one.detail.get('question')} {one.detail.get('note')}",
}
#: What the audit log calls them.
ACTIONS = (*_TOGETHER, *_WORDS)
