"""Whether a link's accounts, settings and configuration are what the flows need, looked at without changing anything.

What is wrong with one part never hides the others: a part that fails ends only what depends on it, which is then
reported as not checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from cogent_ops.clients.cloudshelf import CloudshelfClient
from cogent_ops.clients.commercetools import CommercetoolsClient, CommercetoolsRefused
from cogent_ops.clients.graphql_api import RoleRefused
from cogent_ops.config import LinkConfig, LocationOverride, load_book, load_policies
from cogent_ops.domain.catalogue import SUPPLY_ROLE, Problem, map_locations
from cogent_ops.domain.commercetools import Channel
from cogent_ops.domain.completeness import check_mapping
from cogent_ops.domain.custom_types import INVENTORY, ORDER, CustomType, declared
from cogent_ops.errors import CogentOpsError, ConfigError, MissingScope, PermanentError, UnsupportedProject
from cogent_ops.quality import Gate
from cogent_ops.services.catalogue.extract import require_classic
from cogent_ops.services.catalogue.read import REFERENCE_RESOURCES
from cogent_ops.services.checks import Check, Parts, failed, failure, guarded, passed, skipped, warned
from cogent_ops.services.scopes import SCOPES, Flow, Need, least, missing
from cogent_ops.store import current_revision, open_store
from cogent_ops.store.engine import describe, parse_url

Raw = dict[str, Any]

PRICE_ROLE = "ProductDistribution"
MAPPING = "include/mapping.yaml"
ADD_ROLE = "Add the role to it (Merchant Center, Settings, Project settings, Channels; API action addRoles)."
CONFIGURATION, SUITE, STORE = "configuration", "product master schema", "store"
#: Problems of the mapping that checks of their own tell.
PROJECT_FIELDS = ("country", "currency", "locales")
OF_PROJECT = (
    *("scopes", "access", "project settings", "channels", "locations"),
    *("custom Types", "orders", "mapping"),
)
OF_LINK = ("country, currency, languages", "channels", "locations", "custom Types", "orders", "mapping")
OF_ORGANISATION = ("role", "location form", "currency", "safety stock")


class Preflight:
    """One link's preflight.

    :param parts: where its parts come from.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.link: LinkConfig | None = None
        self.overrides: Mapping[str, LocationOverride] = {}

    def run(self) -> list[Check]:
        """Check everything that can be checked."""
        return [
            *guarded(CONFIGURATION, self._configuration),
            *guarded(SUITE, self._suite),
            *guarded(STORE, self._store),
            *self._commercetools(),
            *self._cloudshelf(),
        ]

    def _configuration(self) -> Iterator[Check]:
        config = self.parts.config()
        self.overrides, self.link = config.locations, config.link(self.parts.link)
        load_policies()
        load_book()
        yield passed(
            CONFIGURATION,
            f"{config.source} and the files beside it load, and describe the link '{self.link.name}'.",
        )

    def _suite(self) -> Iterator[Check]:
        path = self.parts.suite()
        Gate(path, self.parts.link).prepare()
        yield passed(SUITE, f"{path} loads, and Great Expectations takes it.")

    def _store(self) -> Iterator[Check]:
        url = self.parts.store_url()
        where = describe(parse_url(url))
        if url is None and current_revision() is None:
            yield warned(
                STORE,
                f"There is no connection cogent_ops_store, and the embedded store {where} does not exist yet.",
                "To try things out, run: cogent-ops store upgrade. For production, add the connection (type postgres) "
                "before, and set COGENT_OPS_EMBEDDED_STORE=off.",
            )
            return
        open_store(url).close()
        yield passed(STORE, f"{where} has this release's schema.")

    def _commercetools(self) -> Iterator[Check]:
        name = "commercetools connection"
        try:
            client = self.parts.commercetools()
        except CogentOpsError as error:
            yield failure(name, error)
            yield skipped("commercetools", ("login", *OF_PROJECT), "Mend the connection first.")
            return
        account = client.account
        yield passed(
            name, f"'{account.conn_id}' is complete: project '{account.project_key}' at {account.api_url}."
        )
        yield from ProjectChecks(client, self.link, self.overrides).run()

    def _cloudshelf(self) -> Iterator[Check]:
        name = "Cloudshelf connection"
        try:
            client = self.parts.cloudshelf()
        except CogentOpsError as error:
            yield failure(name, error)
            yield skipped("Cloudshelf", ("key", *OF_ORGANISATION), "Mend the connection first.")
            return
        yield passed(name, f"'{client.account.conn_id}' is complete: {client.account.url}.")
        yield from OrganisationChecks(client, self.link).run()


class ProjectChecks:
    """What a commercetools project must have.

    :param link: the link's configuration; ``None`` when it cannot be read: only the project itself is judged then.
    :param overrides: what ``include/locations.yaml`` says, by Channel key.
    """

    def __init__(
        self, client: CommercetoolsClient, link: LinkConfig | None, overrides: Mapping[str, LocationOverride]
    ) -> None:
        self.client, self.link, self.overrides = client, link, overrides
        #: What was read, by resource; the project itself has none.
        self.found: dict[str, Any] = {}

    def run(self) -> Iterator[Check]:
        """Check login and scopes, read what the flows read, and judge what was read."""
        try:
            granted = self.client.granted_scopes()
        except CogentOpsError as error:
            yield failure("commercetools login", error)
            yield skipped("commercetools", OF_PROJECT, "Mend the login first.")
            return
        yield passed("commercetools login", "The API client's id and secret are accepted.")
        yield from self._scopes(granted)
        yield from guarded("commercetools access", self._access)
        yield from self._with(("",), "project settings", self._project)
        yield from self._with(("channels",), "channels", self._channels)
        if self.link is None:
            yield skipped("link", OF_LINK, "Mend the configuration first.")
        else:
            yield from self._of_link(self.link)

    def _of_link(self, link: LinkConfig) -> Iterator[Check]:
        yield from self._with(("",), "country, currency, languages", lambda: self._international(link))
        yield from self._with(("channels",), "channel roles", lambda: self._roles(link))
        yield from self._with(("channels",), "locations", lambda: self._locations(link))
        yield from guarded("custom Types", lambda: self._types(link))
        yield from self._with(("tax-categories",), "orders", lambda: self._orders(link))
        yield from self._with(("", *REFERENCE_RESOURCES.values()), "mapping", lambda: self._mapping(link))

    def _with(
        self, resources: Iterable[str], name: str, check: Callable[[], Iterable[Check]]
    ) -> Iterator[Check]:
        """Checks that need resources to have been read."""
        unread = [resource or "project" for resource in resources if resource not in self.found]
        if unread:
            yield skipped(name, (name,), f"First see why {', '.join(unread)} could not be read (above).")
        else:
            yield from guarded(name, check)

    # Permissions

    def _scopes(self, granted: tuple[str, ...]) -> Iterator[Check]:
        name, project = "commercetools scopes", self.client.account.project_key
        if not granted:
            text = "The authorization server does not list what it granted."
            yield warned(name, text, "See below what the API client may read.")
            return
        lacking = missing(Flow.CATALOGUE, granted, project)
        if needed := [need for need in lacking if not need.only_for]:
            yield failed(name, f"The API client lacks {_names(needed)}.", self._new_client())
        elif f"manage_project:{project}" in granted:
            yield passed(name, "manage_project allows everything, far more than the catalogue needs.")
        else:
            yield passed(name, "They allow all that the catalogue flow reads.")
        stock = [*missing(Flow.STOCK, granted, project), *missing(Flow.AVAILABILITY, granted, project)]
        if stock:
            cure = f"Until the client has {', '.join(least(Flow.STOCK))}, leave stock_deltas paused."
            yield warned("scopes for stock", f"The API client lacks {_names(stock)}.", cure)
        if lacking := missing(Flow.ORDERS, granted, project):
            cure = f"Until the client has {', '.join(least(Flow.ORDERS))}, leave kiosk_order_capture paused."
            yield warned("scopes for orders", f"The API client lacks {_names(lacking)}.", cure)
        if unseen := [need for need in missing(Flow.HEALTH, granted, project) if need.only_for]:
            blind = ", and not ".join(need.only_for for need in unseen)
            cure = f"If you want it to, grant {', '.join(need.scopes[0] for need in unseen)}. Nothing else needs them."
            yield warned("scopes for sync_health", f"sync_health will not see {blind}.", cure)
        if lacking := missing(Flow.BOOTSTRAP, granted, project):
            cure = "Only bootstrap needs it: run that with an API client of its own, see docs/go-live.md."
            yield warned("scopes for bootstrap", f"The API client lacks {_names(lacking)}.", cure)

    def _new_client(self) -> str:
        extra = ", and name the scopes in 'extra scopes'" if self.client.account.scopes else ""
        return (
            f"Create an API client with {', '.join(least(Flow.CATALOGUE))} (Merchant Center, Settings, Developer "
            f"settings; an existing one cannot be changed), and put its id and secret into login and password{extra}."
        )

    def _access(self) -> Iterator[Check]:
        """Really read one record of everything that the catalogue flow reads, and reference data as a whole."""
        needs = SCOPES[Flow.CATALOGUE]
        for need in needs:
            try:
                self._read(need)
            except PermanentError as error:
                yield _no_access(need, error)
            else:
                self.found.setdefault(need.resource, ())
        if read := [need.label for need in needs if need.resource in self.found]:
            yield passed("commercetools access", f"One record each could be read of {', '.join(read)}.")

    def _read(self, need: Need) -> None:
        resource = need.resource
        if not resource:
            self.found[""] = self.client.project()
        elif resource == "product-projections":
            self._read_products(resource)
        else:
            next(self.client.pages(resource, page_size=1), None)
        if resource in REFERENCE_RESOURCES.values():
            self.found[resource] = list(chain.from_iterable(self.client.pages(resource)))

    def _read_products(self, resource: str) -> None:
        """As the extract asks for products: with the link's own predicates."""
        query = self.link.query if self.link else ()
        try:
            next(self.client.pages(resource, where=query, params={"staged": "false"}, page_size=1), None)
        except CommercetoolsRefused as error:
            if not query:
                raise
            cure = "Correct the predicate; commercetools documents them as Query Predicates."
            raise ConfigError(MAPPING, str(error), cure, field="query") from None

    # The project

    def _project(self) -> Iterator[Check]:
        project = self.found[""]
        try:
            require_classic(project)
        except UnsupportedProject as error:
            yield failure("product catalogue", error)
        else:
            yield passed("product catalogue", "The project uses the Classic catalogue.")
        if project.get("messages", {}).get("enabled"):
            yield passed("Messages", "The project keeps them.")
            return
        yield warned(
            "Messages",
            "The project keeps none. The catalogue does not need them, but flows that follow stock and orders will "
            "notice changes late.",
            'Turn them on with the API: POST /{projectKey}, action {"action": "changeMessagesConfiguration", '
            '"messagesConfiguration": {"enabled": true, "deleteDaysAfterCreation": 30}} (manage_project_settings).',
        )

    def _channels(self) -> Iterator[Check]:
        channels = self.found["channels"]
        supply = [raw for raw in channels if SUPPLY_ROLE in raw.get("roles", ())]
        if supply:
            yield passed("channels", f"{len(supply)} of {len(channels)} have the role {SUPPLY_ROLE}.")
        else:
            text = f"None of the {len(channels)} channels has the role {SUPPLY_ROLE}, so there is no store."
            cure = f"Create a channel with it for each store, or add it to those that are one. {ADD_ROLE}"
            yield failed("channels", text, cure)

    # What the link says of it

    def _international(self, link: LinkConfig) -> Iterator[Check]:
        nothing: Raw = {"project": self.found[""], **dict.fromkeys(REFERENCE_RESOURCES, ())}
        problems = [one for one in check_mapping(link, nothing) if one.field in PROJECT_FIELDS]
        for one in problems:
            yield failed(
                one.field,
                one.message,
                f"Correct '{one.field}' in {MAPPING}, or add '{one.value}' to the project (Merchant Center, Settings, "
                "Project settings, International).",
            )
        if not problems:
            text = f"The project has {link.country}, {link.currency} and {', '.join(link.locales)}."
            yield passed("country, currency, languages", text)

    def _roles(self, link: LinkConfig) -> Iterator[Check]:
        """Channels that the mapping names; whether they exist is the mapping's own check."""
        roles = {raw["key"]: raw.get("roles", ()) for raw in self.found["channels"]}
        listed, price = link.stock.channels, link.prices.channel
        for key in () if isinstance(listed, str) else listed:
            if SUPPLY_ROLE not in roles.get(key, (SUPPLY_ROLE,)):
                text = f"Channel '{key}' lacks the role {SUPPLY_ROLE}, so it holds no stock that could count."
                yield failed("stock.channels", text, ADD_ROLE)
        if price and PRICE_ROLE not in roles.get(price, (PRICE_ROLE,)):
            text = f"Channel '{price}' lacks the role {PRICE_ROLE}, which channels with prices have."
            yield warned("prices.channel", text, f"See that it is the right channel. {ADD_ROLE}")

    def _locations(self, link: LinkConfig) -> Iterator[Check]:
        channels = map(Channel.model_validate, self.found["channels"])
        locations, problems = map_locations(channels, self.overrides, link)
        yield from map(location_check, problems)
        if locations:
            names = ", ".join(location.display_name for location in locations[:5])
            more = f" and {len(locations) - 5} more" if len(locations) > 5 else ""
            yield passed("locations", f"{len(locations)} are complete: {names}{more}.")
        else:
            text = "No channel is complete enough to be a store of this link."
            cure = f"See 'locations' in {MAPPING}, and the addresses of the channels."
            yield warned("locations", text, cure)

    def _types(self, link: LinkConfig) -> Iterator[Check]:
        try:
            present = list(chain.from_iterable(self.client.pages("types")))
        except MissingScope as error:
            text = f"They cannot be seen. {error.problem}."
            yield warned(
                "custom Types",
                text,
                "The catalogue does not need them. To have them checked, grant view_types.",
            )
            return
        for wanted in declared_types(link):
            yield type_conflict(wanted, present) or _type_check(wanted, present, link.name)
            if wanted.resource == INVENTORY and "inventory" in self.found:
                yield from self._foreign(wanted, present)
            if wanted.resource == ORDER:
                yield from _basket_check(link.orders.basket_field, wanted, present)

    def _foreign(self, wanted: CustomType, present: Iterable[Raw]) -> Iterator[Check]:
        """Types of others on inventory entries that leave no room for our field. Orders are our own."""
        for kind in present:
            if wanted.resource not in kind["resourceTypeIds"] or not wanted.missing(kind):
                continue
            if kind["key"] != wanted.key and self._is_used(kind["id"]):
                yield warned(
                    f"custom Type {kind['key']}",
                    f"Inventory entries carry this Type, and an entry has one Type only, so that '{wanted.key}' finds "
                    "no place on them.",
                    f"Give its key as custom_types.inventory in {MAPPING}: bootstrap then adds what it lacks.",
                )

    def _is_used(self, type_id: str) -> bool:
        where = f"custom(type(id={self.client.literal(type_id)}))"
        return next(self.client.pages("inventory", where=(where,), page_size=1), None) is not None

    def _orders(self, link: LinkConfig) -> Iterator[Check]:
        yield from OrderChecks(self.client, link, self.found["tax-categories"]).run()

    def _mapping(self, link: LinkConfig) -> Iterator[Check]:
        names = {"project": "", **REFERENCE_RESOURCES}
        reference = {name: self.found[resource] for name, resource in names.items()}
        told = (*PROJECT_FIELDS, "locations")
        problems = [one for one in check_mapping(link, reference) if one.field not in told]
        yield from map(_mapping_check, problems)
        if not problems:
            yield passed("mapping", f"The project has everything else that {MAPPING} names.")


class OrderChecks:
    """What a project must have before kiosk orders can be captured as the link says; the catalogue does without.

    :param categories: the project's tax categories.
    """

    def __init__(self, client: CommercetoolsClient, link: LinkConfig, categories: Iterable[Raw]) -> None:
        self.client, self.link, self.rules, self.categories = client, link, link.orders, categories

    def run(self) -> Iterator[Check]:
        """Look for what the settings name."""
        found = [*self._taxes(), *self._store()]
        yield from found
        if not found:
            yield passed("orders", f"The project has what 'orders' in {MAPPING} names.")

    def _taxes(self) -> Iterator[Check]:
        country, wanted = self.link.country, self.rules.shipping_tax_category
        taxed = {
            one.get("key") or one["id"]: any(rate["country"] == country for rate in one["rates"])
            for one in self.categories
        }
        if wanted is not None and not taxed.get(wanted, False):
            why = f"has no rate for {country}" if wanted in taxed else "does not exist"
            yield warned(
                "orders.shipping_tax_category",
                f"The tax category '{wanted}' {why}, so orders with shipping will wait for a person.",
                f"Give it a rate for {country} in commercetools, or correct the key in {MAPPING}.",
            )
        lacking = [key for key, is_taxed in sorted(taxed.items()) if not is_taxed]
        if lacking and self.rules.tax_required:
            yield warned(
                "tax rates",
                f"Without a rate for {country}: {', '.join(lacking)}. Orders of their products will wait for a person.",
                f"Add the rates in commercetools, or set orders.tax_required to false in {MAPPING}.",
            )

    def _store(self) -> Iterator[Check]:
        key, name = self.rules.store, "orders.store"
        if key in ("channel", "none"):
            return
        try:
            found = self.client.get("stores", key=key)
        except MissingScope as error:
            yield warned(
                name, f"It cannot be seen. {error.problem}.", "To have it checked, grant view_stores."
            )
            return
        if found is None:
            cure = f"Correct it in {MAPPING}; channel takes the Store that has the kiosk's Channel."
            yield warned(name, f"There is no Store '{key}', so that no order can be captured.", cure)


class OrganisationChecks:
    """What a Cloudshelf organisation must have.

    :param link: the link's configuration; ``None`` when it cannot be read.
    """

    def __init__(self, client: CloudshelfClient, link: LinkConfig | None) -> None:
        self.client, self.link = client, link

    def run(self) -> Iterator[Check]:
        """Check key and role, then what the organisation says about itself."""
        try:
            yield from self._key()
        except CogentOpsError as error:
            yield failure("Cloudshelf key", error)
            yield skipped("Cloudshelf", OF_ORGANISATION, "Mend the connection first.")
            return
        yield from guarded("Cloudshelf role", self._role)
        yield from guarded("Cloudshelf location form", self._form)
        yield from guarded("Cloudshelf organisation", self._organisation)

    def _key(self) -> Iterator[Check]:
        try:
            status = self.client.status()
        except RoleRefused:
            yield passed("Cloudshelf key", "The key is accepted, but see its role.")
            return
        yield passed("Cloudshelf key", f"Accepted by Cloudshelf (version {status.version}).")
        if status.in_maintenance:
            text = "Cloudshelf is in maintenance mode, so that writes may fail now."
            yield warned(
                "Cloudshelf maintenance", text, "Wait until it is over; runs wait and go on by themselves."
            )

    def _role(self) -> Iterator[Check]:
        held = self.client.permissions()
        wanted = ("CATALOGUE:READ", "CATALOGUE:MODIFY", "LOCATIONS:READ", "LOCATIONS:MODIFY")
        lacking = [name for name in wanted if name not in held]
        cure = "Give the key's role READ and MODIFY for CATALOGUE, LOCATIONS and ORDERS in the Cloudshelf Manager."
        if lacking:
            yield failed("Cloudshelf role", f"The key's role does not allow {', '.join(lacking)}.", cure)
        else:
            yield passed(
                "Cloudshelf role",
                "READ for CATALOGUE and LOCATIONS is proven. MODIFY is not, without writing: Cloudshelf took empty "
                "batches, and the first bootstrap and push will show the rest.",
            )
        if "ORDERS:READ" not in held:
            text = "The key may not read ORDERS. The catalogue does not need it; flows for orders and stock will."
            yield warned("Cloudshelf role for orders", text, cure)
        if self.client.may_read_devices():
            yield passed(
                "Cloudshelf role for kiosks", "READ for DEVICE: sync_health sees which kiosks are on."
            )
        else:
            yield warned(
                "Cloudshelf role for kiosks",
                "The key may not read DEVICE, so sync_health does not see which kiosks are on.",
                "If you want it to, give the key's role READ for DEVICE. Nothing else needs it.",
            )

    def _form(self) -> Iterator[Check]:
        name = "Cloudshelf location form"
        match self.client.described_form:
            case "structured":
                yield passed(name, "LocationInput takes addresses in parts (address1, city, zip …).")
            case "address":
                yield passed(name, "LocationInput takes addresses in one line (an older form).")
            case None:
                text = "The API does not describe LocationInput; addresses will be sent in parts, the newer form."
                yield warned(
                    name, text, "See after bootstrap that stores have their addresses in Cloudshelf."
                )

    def _organisation(self) -> Iterator[Check]:
        try:
            found = self.client.organisation()
        except RoleRefused:
            found = None
        if found is None:
            text = "The key may not read the organisation, so currency and safety stock are not checked."
            cure = f"Compare both in the Cloudshelf Manager with {MAPPING}, or grant the role READ for MY_ORGANISATION."
            yield warned("Cloudshelf organisation", text, cure)
            return
        yield self._currency(found.name, found.currency)
        yield warned(
            "Cloudshelf safety stock",
            f"It is {found.safety_stock}: less counts as out of stock. Whether exactly so many pieces do is not "
            "documented.",
            "Verify on the first run: look at a product with exactly so many pieces on a kiosk. For our own flags, "
            f"'stock.safety_stock' in {MAPPING} decides.",
        )

    def _currency(self, organisation: str, currency: str) -> Check:
        name = "Cloudshelf currency"
        if self.link is None:
            return skipped(name, (f"whether the link sells in {currency}",), "Mend the configuration first.")
        if currency == self.link.currency:
            return passed(name, f"Organisation '{organisation}' sells in {currency}, as the link does.")
        return failed(
            name,
            f"Organisation '{organisation}' sells in {currency}, the link in {self.link.currency}: kiosks would show "
            "right numbers in the wrong currency.",
            f"Correct 'currency' in {MAPPING}, or the currency in the Cloudshelf Manager; or is it another "
            "organisation's key?",
        )


# Shared with bootstrap


def declared_types(link: LinkConfig) -> tuple[CustomType, ...]:
    """The custom Types under the keys that the link's configuration gives them."""
    keys = link.custom_types
    return declared(inventory_key=keys.inventory, order_key=keys.order)


def type_conflict(wanted: CustomType, present: Iterable[Raw]) -> Check | None:
    """What in the project's Types keeps one of ours from being installed; ``None`` when nothing does."""
    conflicts = list(wanted.contradictions(present))
    if not conflicts:
        return None
    return failed(
        f"custom Type {wanted.key}",
        f"It cannot be installed: {'; '.join(conflicts)}.",
        "commercetools allows a field name one type per kind of resource: remove the other field if nobody uses it. "
        f"If Type '{wanted.key}' itself is somebody else's, choose another key in {MAPPING}, custom_types.",
    )


def location_check(problem: Problem) -> Check:
    """A store that cannot become a location as it is, or an entry about none."""
    return warned(f"location {problem.value}", f"{problem.field}: {problem.message}", _location_cure(problem))


def _location_cure(problem: Problem) -> str:
    match problem.field:
        case "key":
            return "Correct the key in include/locations.yaml, or remove the entry."
        case "roles":
            return f"{ADD_ROLE} Or remove the entry from include/locations.yaml."
        case "address.country":
            field = "country"
        case _:
            field = "address1"
    return (
        f"Complete the channel's address in commercetools, or give '{field}' for '{problem.value}' in "
        "include/locations.yaml. If it is no store, set exclude: true there."
    )


def _no_access(need: Need, error: PermanentError) -> Check:
    """A kind of record that cannot be read; what only some projects need is no obstacle."""
    check = failure(f"access to {need.label}", error)
    if not need.only_for:
        return check
    return warned(check.name, check.message, f"Needed only for {need.only_for}. {check.cure}".rstrip())


def _type_check(wanted: CustomType, present: list[Raw], link: str) -> Check:
    name, cure = f"custom Type {wanted.key}", f"Run: cogent-ops bootstrap --link {link}"
    own = next((kind for kind in present if kind["key"] == wanted.key), None)
    if own is None:
        return warned(name, "Not installed. The catalogue does not need it; stock and orders do.", cure)
    if lacking := wanted.missing(own):
        return warned(name, f"It lacks {', '.join(field.name for field in lacking)}.", cure)
    return passed(name, "Installed and complete.")


def _basket_check(name: str, ours: CustomType, present: Iterable[Raw]) -> Iterator[Check]:
    """Whether an order can say which kiosk basket it was: commercetools refuses to look for an unknown field."""
    fields = {field.name for field in ours.fields}
    for kind in present:
        if ORDER in kind["resourceTypeIds"]:
            fields.update(definition["name"] for definition in kind["fieldDefinitions"])
    if name not in fields:
        yield warned(
            "orders.basket_field",
            f"No Type for orders has the field '{name}', by which a basket that the web shop sold is recognised.",
            f"Correct it in {MAPPING}, or add the field to the web shop's Type.",
        )


def _mapping_check(problem: Problem) -> Check:
    cure = f"Correct '{problem.field}' in {MAPPING}, take '{problem.value}' out of it, or create it in commercetools."
    return failed(f"mapping, {problem.field}", problem.message, cure)


def _names(needs: Iterable[Need]) -> str:
    return ", ".join(dict.fromkeys(" or ".join(need.scopes) for need in needs))
