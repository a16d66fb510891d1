"""Install what the flows rely on: custom Types in commercetools, locations in Cloudshelf. Safe to repeat.

What is there already is completed and never replaced: a Type may belong to another integration, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

from cogent_ops.clients.cloudshelf import BatchOutcome, CloudshelfClient, RecordFailure
from cogent_ops.clients.commercetools import CommercetoolsClient, Updated
from cogent_ops.config import Config, LinkConfig
from cogent_ops.domain.catalogue import map_locations
from cogent_ops.domain.commercetools import Channel
from cogent_ops.domain.custom_types import CustomType
from cogent_ops.domain.identifiers import parse_gid
from cogent_ops.domain.kiosk import KioskLocation, fingerprint
from cogent_ops.errors import AmbiguousOutcome, CogentOpsError, TargetUnavailable
from cogent_ops.services.checks import Check, Outcome, Parts, failed, failure, guarded, passed, warned
from cogent_ops.services.pipeline import batches
from cogent_ops.services.preflight import declared_types, location_check, type_conflict
from cogent_ops.store import Store, current_revision, open_store

Raw = dict[str, Any]

#: Every lost race means that somebody else has just changed the Type; a handful of them at a time is plenty.
ATTEMPTS = 8
#: Kind of the locations' fingerprints, which the catalogue flow shares, and whose run they are.
KIND, RUN_KEY = "location", "bootstrap"


class Bootstrap:
    """One link's installation.

    :param parts: where its parts come from.
    :param dry_run: say what would be done, and change nothing.
    """

    def __init__(self, parts: Parts, *, dry_run: bool) -> None:
        self.parts, self.dry_run = parts, dry_run

    def run(self) -> list[Check]:
        """Install everything that can be installed; a part that fails does not keep the others from it."""
        try:
            config = self.parts.config()
            link = config.link(self.parts.link)
        except CogentOpsError as error:
            return [failure("configuration", error)]
        try:
            client = self.parts.commercetools()
            client.granted_scopes()  # logs in
        except CogentOpsError as error:
            text = "Nothing was installed: custom Types and locations both need commercetools."
            return [failure("commercetools", error), warned("bootstrap", text, "Mend it first.")]
        types = (
            guarded(f"custom Type {wanted.key}", partial(self._type, client, wanted))
            for wanted in declared_types(link)
        )
        locations = guarded("locations", partial(self._locations, client, config, link))
        return [*chain.from_iterable(types), *locations]

    def _type(self, client: CommercetoolsClient, wanted: CustomType) -> Iterator[Check]:
        yield TypeInstaller(client, wanted, dry_run=self.dry_run).run()

    def _locations(self, client: CommercetoolsClient, config: Config, link: LinkConfig) -> Iterator[Check]:
        raw = chain.from_iterable(client.pages("channels"))
        locations, problems = map_locations(map(Channel.model_validate, raw), config.locations, link)
        for problem in problems:
            check = location_check(problem)
            is_store = problem.field.startswith("address")
            yield Check(check.name, Outcome.FAIL, check.message, check.cure) if is_store else check
        installer = LocationInstaller(self.parts.cloudshelf(), self._store(), link, dry_run=self.dry_run)
        yield from installer.run(locations)

    def _store(self) -> Store | None:
        """The store; ``None`` where a dry run would have to create it first."""
        url = self.parts.store_url()
        if self.dry_run and url is None and current_revision() is None:
            return None
        return open_store(url, create=not self.dry_run)


class TypeInstaller:
    """Brings one custom Type into a project.

    :param wanted: the Type as the flows need it.
    :param dry_run: write nothing.
    """

    def __init__(self, client: CommercetoolsClient, wanted: CustomType, *, dry_run: bool) -> None:
        self.client, self.wanted, self.dry_run = client, wanted, dry_run
        self.name = f"custom Type {wanted.key}"
        #: Fields that were sent without an answer; the next look at the Type tells.
        self._sent: list[str] = []

    def run(self) -> Check:
        """Install or complete it.

        :raises TargetUnavailable: when others keep changing the Type meanwhile.
        """
        for _ in range(ATTEMPTS):
            done = self._attempt()
            if done is not None:
                return done
        raise TargetUnavailable(f"Type '{self.wanted.key}' was changed by others {ATTEMPTS} times meanwhile.")

    def _attempt(self) -> Check | None:
        """One look and one write; ``None`` when another look is needed."""
        types = list(chain.from_iterable(self.client.pages("types")))
        own = self.client.get("types", key=self.wanted.key)
        others = [kind for kind in types if kind["key"] != self.wanted.key]
        conflict = type_conflict(self.wanted, [*others, own] if own else others)
        if conflict is not None:
            return conflict
        return self._create() if own is None else self._complete(own)

    def _create(self) -> Check | None:
        fields = ", ".join(field.name for field in self.wanted.fields)
        if self.dry_run:
            return passed(self.name, f"Would be created with {fields}.")
        if self.client.ensure("types", self.wanted.draft()).created:
            return passed(self.name, f"Created with {fields}.")
        return None  # somebody was faster, perhaps with other fields

    def _complete(self, own: Raw) -> Check | None:
        lacking = [field.name for field in self.wanted.missing(own)]
        if not lacking:
            done = f"Completed by {', '.join(self._sent)}." if self._sent else "Complete already."
            return passed(self.name, done)
        if self.dry_run:
            return passed(self.name, f"Would be completed by {', '.join(lacking)}.")
        try:
            outcome = self.client.update("types", own["id"], own["version"], self.wanted.additions(own))
        except AmbiguousOutcome:
            self._sent = lacking
            return None
        self._sent = []
        return (
            passed(self.name, f"Completed by {', '.join(lacking)}.") if isinstance(outcome, Updated) else None
        )


class LocationInstaller:
    """Brings a link's stores to Cloudshelf: those that it lacks, and those that have changed since it took them.

    :param store: remembers what Cloudshelf took; ``None``: nothing is known, and nothing remembered.
    :param dry_run: compare and say, send and store nothing.
    """

    def __init__(
        self, client: CloudshelfClient, store: Store | None, link: LinkConfig, *, dry_run: bool
    ) -> None:
        self.client, self.store, self.link, self.dry_run = client, store, link, dry_run

    def run(self, locations: Sequence[KioskLocation]) -> Iterator[Check]:
        """Install them; one line for those that are fine together, and one for each that was refused."""
        hashes = {one.id: fingerprint(one.model_dump(mode="json")) for one in locations}
        due = self._due(locations, hashes)
        refused: dict[str, RecordFailure] = {}
        for batch in () if self.dry_run else batches(due, self.link.batches.locations):
            refused |= {failure.id: failure for failure in self._send(batch, hashes).failed}
        for id_, why in refused.items():
            yield failed(
                f"location {parse_gid(id_).id}",
                f"Cloudshelf refused it: {why.code}: {why.message}",
                "Correct the channel in commercetools or its entry in include/locations.yaml, then run this again.",
            )
        yield self._summary([one for one in due if one.id not in refused], len(locations) - len(due))

    def _due(self, locations: Sequence[KioskLocation], hashes: Mapping[str, str]) -> list[KioskLocation]:
        """Those that Cloudshelf does not have, whatever the store says, and those that it has in another form."""
        there = {node["platformProvidedId"] for page in self.client.locations() for node in page}
        known = self.store.fingerprints.known(self.link.name, KIND, hashes) if self.store else {}
        return [one for one in locations if one.id not in there or known.get(one.id) != hashes[one.id]]

    def _send(self, batch: Sequence[KioskLocation], hashes: Mapping[str, str]) -> BatchOutcome:
        outcome = self.client.upsert_locations(batch)
        if self.store is not None:
            applied = {id_: hashes[id_] for id_ in outcome.applied}
            self.store.fingerprints.remember(self.link.name, KIND, applied, RUN_KEY)
        return outcome

    def _summary(self, done: Sequence[KioskLocation], unchanged: int) -> Check:
        names = ", ".join(location.display_name for location in done)
        verb = "Would be installed" if self.dry_run else "Installed"
        parts = [f"{verb}: {names}."] if done else []
        if unchanged:
            parts.append(f"{unchanged} are there already.")
        return passed("locations", " ".join(parts) or "There is nothing to install.")
