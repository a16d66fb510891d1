"""Whether both systems still let us in, allow what the flows do, and for how long."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar
from zoneinfo import ZoneInfo

from cogent_ops.clients.cloudshelf import ApiKey, CloudshelfClient
from cogent_ops.clients.commercetools import CommercetoolsClient
from cogent_ops.clients.graphql_api import RoleRefused
from cogent_ops.domain.business_hours import BusinessHours
from cogent_ops.domain.exceptions import Kind, NewException, Owner
from cogent_ops.domain.health.model import Check, State
from cogent_ops.domain.rules import HealthRules
from cogent_ops.domain.text import counted, listed
from cogent_ops.errors import ConnectionConfigError, MissingScope, PermanentError
from cogent_ops.services.beat import COLLECTED, POLLED, SHOP_LOOKED
from cogent_ops.services.catalogue.plan import Flow as CatalogueFlow
from cogent_ops.services.health.looking import Cause, OutsideReport, over
from cogent_ops.services.scopes import Flow, missing
from cogent_ops.store import Store

#: As the last day of an access that does not end.
NEVER = date.max
#: Kind under which it is noted when a connection was let in last.
SOURCE = "credential"
#: Watermarks of flows that have run; whoever does not use a flow need not allow what it does.
_RUNS = {
    Flow.CATALOGUE: CatalogueFlow.SYNC.value,
    Flow.STOCK: POLLED,
    Flow.AVAILABILITY: COLLECTED,
    Flow.ORDERS: SHOP_LOOKED,
}
_PROOF = "cogent-ops preflight shows whether it is enough; with the next check this closes."


@dataclass(frozen=True)
class Refused:
    """Nobody is let in with what the connection says."""

    error: PermanentError


class _Access:
    """What looks at both systems have in common.

    :param conn_id: the Airflow connection.
    """

    name: ClassVar[str]
    #: How rights that are lacking are given.
    grant: ClassVar[str]

    def __init__(self, link: str, store: Store, conn_id: str) -> None:
        self.link, self.store, self.conn_id = link, store, conn_id

    def _let_in(self, now: datetime, lacking: Iterable[str], message: str) -> OutsideReport:
        """We were let in.

        :param lacking: rights that flows in use need, and that were not given.
        """
        with self.store.begin() as conn:
            self.store.gaps.saw(conn, self.link, SOURCE, self.conn_id, "accepted", now, is_healthy=True)
        found = tuple(self._lacking(list(lacking)))
        state = State.BAD if found else State.GOOD
        check = Check(
            name=self.name,
            state=state,
            message=found[0].message if found else message,
            cure=found[0].cure if found else "",
        )
        return OutsideReport((check,), found, self._over(found, "refused") + self._over(found, "rights"))

    def _refused(self, error: PermanentError) -> OutsideReport:
        seen = self.store.gaps.source(self.link, SOURCE, self.conn_id)
        last = None if seen is None else seen.healthy_at
        since = (
            "It has never been let in."
            if last is None
            else f"It was let in at {last:%Y-%m-%d %H:%M} UTC last."
        )
        field, cure = "", "Mend what the message names."
        if isinstance(error, ConnectionConfigError):
            field, cure = error.field, error.cure
        new = NewException(
            kind=Kind.CREDENTIAL,
            # Each time is a case of its own: what a person says about one holds for no other.
            cause_key=f"{self.conn_id}/refused/{_stamp(last)}",
            record=f"connection {self.conn_id}",
            field=field,
            rule="the access is accepted",
            message=f"{_without(str(error), cure)} {since}",
            cure=f"{cure} {_PROOF}",
            owner=Owner.PLATFORM,
            payload={"connection": self.conn_id},
            group=f"connection/{self.conn_id}",
        )
        check = Check(name=self.name, state=State.BAD, message=new.message, cure=cure)
        return OutsideReport((check,), (new,), self._over((new,), "refused"))

    def _lacking(self, names: list[str]) -> Iterator[NewException]:
        if not names:
            return
        digest = hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:12]
        yield NewException(
            kind=Kind.CREDENTIAL,
            cause_key=f"{self.conn_id}/rights/{digest}",
            record=f"connection {self.conn_id}",
            field="rights",
            rule="the access allows what the flows do",
            message=f"The access of connection '{self.conn_id}' is accepted, but does not allow {listed(names)}.",
            cure=f"{self.grant} {_PROOF}",
            owner=Owner.PLATFORM,
            payload={"connection": self.conn_id, "lacking": names},
            group=f"connection/{self.conn_id}",
        )

    def _uses(self, flow: Flow) -> bool:
        return self.store.watermarks.get(self.link, _RUNS[flow]) is not None

    def _over(self, found: Iterable[NewException], what: str) -> tuple[Cause, ...]:
        return over(self.store, self.link, Kind.CREDENTIAL, f"{self.conn_id}/{what}/", found)


class CommercetoolsAccess(_Access):
    """Logs in to commercetools and reads the project.

    :param client: makes the client.
    """

    name = "commercetools access"
    grant = (
        "The scopes of an API client cannot be changed: create one that has them all (Merchant Center, Settings, "
        "Developer settings), and put its id and secret into the connection."
    )

    def __init__(
        self, link: str, store: Store, conn_id: str, client: Callable[[], CommercetoolsClient]
    ) -> None:
        super().__init__(link, store, conn_id)
        self._client = client

    def ask(self) -> tuple[str, ...] | Refused:
        """The scopes that were granted just now."""
        try:
            client = self._client()
            granted = client.sign_in()
            with suppress(MissingScope):  # what is lacking, the granted scopes say themselves
                client.project()
        except ConnectionConfigError as error:
            return Refused(error)
        return granted

    def judge(self, answer: tuple[str, ...] | Refused, now: datetime) -> OutsideReport:
        """Whether that is enough."""
        if isinstance(answer, Refused):
            return self._refused(answer.error)
        project = self._client().account.project_key
        needs = [
            need
            for flow in _RUNS
            if answer and self._uses(flow)
            for need in missing(flow, answer, project)
            if not need.only_for
        ]
        lacking = dict.fromkeys(f"the scope {need.scopes[0]} (for {need.label})" for need in needs)
        return self._let_in(now, lacking, "A new token was granted, and allows what the flows in use do.")


class CloudshelfAccess(_Access):
    """Reads with Cloudshelf's key.

    :param client: makes the client.
    """

    name = "Cloudshelf access"
    grant = (
        "Give the key's role READ and MODIFY for CATALOGUE, LOCATIONS and ORDERS in the Cloudshelf Manager, or put "
        "another key into the connection."
    )

    def __init__(self, link: str, store: Store, conn_id: str, client: Callable[[], CloudshelfClient]) -> None:
        super().__init__(link, store, conn_id)
        self._client = client

    def ask(self) -> tuple[frozenset[str], ApiKey | None] | Refused:
        """What the key may read, and how the Manager calls it where that may be read, too."""
        try:
            client = self._client()
            return client.readable(), _own_key(client)
        except ConnectionConfigError as error:
            return Refused(error)

    def judge(self, answer: tuple[frozenset[str], ApiKey | None] | Refused, now: datetime) -> OutsideReport:
        """Whether that is enough."""
        if isinstance(answer, Refused):
            return self._refused(answer.error)
        readable, key = answer
        if key is not None and key.revoked_at is not None:
            said = f"the key '{key.name}' was revoked at {key.revoked_at:%Y-%m-%d %H:%M} UTC, and will not be let in"
            cure = "Create a new key in the Cloudshelf Manager, and put it into the connection."
            return self._refused(ConnectionConfigError(self.conn_id, "password (API key)", said, cure))
        needed = ["CATALOGUE", "LOCATIONS", *(["ORDERS"] if self._uses(Flow.STOCK) else [])]
        lacking = [f"READ of {name}" for name in needed if name not in readable]
        which = f"The key '{key.name}'" if key else "The key"
        return self._let_in(now, lacking, f"{which} is accepted, and reads what the flows in use read.")


class Expiry:
    """When access ends: what people wrote down in connections, and what commercetools tells.

    :param ends: by connection id, its last day as somebody wrote it down, or what is wrong with that; ``None``: nobody
        wrote it down. :data:`NEVER`: it does not end.
    :param conn_id: the commercetools connection, of which the API may tell when it ends.
    :param asked: connections of which somebody should know when they end.
    :param hours: when somebody works, and by whose calendar a day is told. An end that is days away is no reason to
        wake anybody.
    """

    name = "End of access"

    def __init__(
        self,
        link: str,
        rules: HealthRules,
        store: Store,
        client: Callable[[], CommercetoolsClient],
        ends: Mapping[str, date | ConnectionConfigError | None],
        *,
        conn_id: str,
        asked: Iterable[str],
        hours: BusinessHours,
    ) -> None:
        self.link, self.rules, self.store, self.conn_id, self.hours = link, rules, store, conn_id, hours
        self.asked = tuple(asked)
        self._client, self._ends = client, ends

    def ask(self) -> datetime | None:
        """When commercetools deletes the API client; ``None``: not by itself, or it does not tell."""
        try:
            client = self._client()
            unseen = missing(Flow.HEALTH, client.granted_scopes(), client.account.project_key)
            return None if any(need.resource == "api-clients" for need in unseen) else client.access_ends()
        except (MissingScope, ConnectionConfigError):
            # Whether we are let in at all is said elsewhere.
            return None

    def judge(self, answer: datetime | None, now: datetime) -> OutsideReport:
        """What ends soon, and of what nobody knows."""
        zone, checks = ZoneInfo(self.hours.timezone), list[Check]()
        today, found = now.astimezone(zone).date(), list[NewException]()
        known = set(self.store.exceptions.open_causes(self.link, Kind.CREDENTIAL))
        unknown: list[str] = []
        for conn_id, written in self._ends.items():
            end = written
            if conn_id == self.conn_id and answer is not None:
                told = answer.astimezone(zone).date()
                end = told if not isinstance(end, date) else min(end, told)
            if isinstance(end, ConnectionConfigError):
                message, cure = _without(str(end), end.cure), end.cure
                checks.append(Check(name=f"End of {conn_id}", state=State.LATE, message=message, cure=cure))
            elif end == NEVER:
                continue
            elif end is None:
                unknown += [conn_id] if conn_id in self.asked else []
            else:
                check, new = self._of(conn_id, end, (end - today).days)
                checks.append(check)
                can_wait = (end - today).days > 1 and not self.hours.is_open(now)
                if new is not None and (not can_wait or new.cause_key in known):
                    found.append(new)
        if unknown:
            checks.append(_unknown(unknown))
        gone = tuple(
            (kind, cause)
            for kind, cause in over(self.store, self.link, Kind.CREDENTIAL, "", found)
            if "/expires/" in cause
        )
        return OutsideReport(tuple(checks), tuple(found), gone)

    def _of(self, conn_id: str, end: date, days: int) -> tuple[Check, NewException | None]:
        name = f"End of {conn_id}"
        if days > self.rules.credential_days:
            return Check(name=name, state=State.GOOD, message=f"It ends on {end}, in {days} days."), None
        when = (
            f"ended on {end}"
            if days < 0
            else f"ends today ({end})"
            if days == 0
            else f"ends on {end}, in {counted(days, 'day')}"
        )
        new = NewException(
            kind=Kind.CREDENTIAL,
            cause_key=f"{conn_id}/expires/{end}",
            record=f"connection {conn_id}",
            field="expires_on",
            rule=f"renewed {self.rules.credential_days} days before it ends",
            message=f"The access of connection '{conn_id}' {when}. With it, everything ends that needs it.",
            cure="Create a new key or client with the same rights, put it into the connection, and write its last day "
            "into the extra 'expires_on'. cogent-ops preflight shows whether it does; then this closes.",
            owner=Owner.PLATFORM,
            payload={"connection": conn_id, "ends": end.isoformat()},
            group=f"connection/{conn_id}",
        )
        state = State.BAD if days < 0 else State.LATE
        return Check(name=name, state=state, message=new.message, cure=new.cure), new


def _own_key(client: CloudshelfClient) -> ApiKey | None:
    """How the Manager calls the key; ``None`` where its role may not read keys, as it need not."""
    try:
        return client.own_key()
    except RoleRefused:
        return None


def _unknown(conn_ids: list[str]) -> Check:
    return Check(
        name="End of access",
        state=State.UNKNOWN,
        message=f"Nobody knows when the access of {listed(conn_ids)} ends.",
        cure="If it does, write its last day into the connection's extra 'expires_on', such as 2027-06-30. If it does "
        "not, write 'never'.",
    )


def _stamp(moment: datetime | None) -> str:
    return "never" if moment is None else moment.isoformat(timespec="seconds")


def _without(text: str, cure: str) -> str:
    """An error's text without its cure, which stands elsewhere."""
    return f"{text.removesuffix(cure).rstrip('. ')}."
