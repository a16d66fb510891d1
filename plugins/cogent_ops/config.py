"""What the business decides: ``mapping.yaml``, ``locations.yaml``, ``exceptions.yaml`` and ``playbook.yaml`` of
``include/``, validated.

Credentials are never here, only in Airflow Connections.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, StringConstraints

from cogent_ops.domain.custom_types import INVENTORY_TYPE, ORDER_TYPE
from cogent_ops.domain.playbook import Book
from cogent_ops.domain.policies import Policies
from cogent_ops.domain.rules import (
    AvailabilityRules,
    CatalogueRules,
    DriftRules,
    HealthRules,
    Key,
    LiveStockRules,
    LocationOverride,
    MovementRules,
    OrderRules,
    ProtectionRules,
    RetentionRules,
    Rules,
)
from cogent_ops.domain.text import did_you_mean
from cogent_ops.errors import ConfigError
from cogent_ops.links import MAPPING_FILE, include_candidates, include_folder
from cogent_ops.yaml_file import Loc, YamlFile

__all__ = [
    "ApiLimits",
    "Batches",
    "CloudshelfLimits",
    "CommercetoolsLimits",
    "Config",
    "CustomTypeKeys",
    "Limits",
    "LinkConfig",
    "LinkSettings",
    "LocationOverride",
    "LocationsFile",
    "MappingFile",
    "RemovalGuard",
    "book_in_force",
    "json_schemas",
    "load_book",
    "load_config",
    "load_policies",
    "policies_in_force",
]

log = logging.getLogger(__name__)

LOCATIONS_FILE = "locations.yaml"
EXCEPTIONS_FILE = "exceptions.yaml"
PLAYBOOK_FILE = "playbook.yaml"
_SHIPPED_FOLDER = Path(__file__).parent / "shipped"
#: The file as it was released, which counts where the business's own says nothing. It is a copy, because the one in
#: ``include/`` is theirs to change, and one with a mistake in it must not keep anything from being raised or told;
#: ``scripts/generate_docs.py`` makes it. That of the playbook lies beside it.
SHIPPED = _SHIPPED_FOLDER / EXCEPTIONS_FILE
_MAPPING = f"include/{MAPPING_FILE}"

Model = TypeVar("Model", bound=BaseModel)
LinkName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


Rate = Annotated[float, Field(gt=0, json_schema_extra={"unit": "requests/s"})]
Burst = Annotated[int, Field(ge=1, json_schema_extra={"unit": "requests"})]
Seconds = Annotated[float, Field(gt=0, json_schema_extra={"unit": "s"})]


class ApiLimits(Rules):
    """How hard one API may be used, by all workers together."""

    rate: Rate = Field(description="Requests that may be sent in a second, on average.")
    burst: Burst = Field(description="Requests that may be sent at once after a pause.")
    timeout_seconds: Seconds = Field(description="Longest wait for an answer.")


class CommercetoolsLimits(ApiLimits):
    """Limits of the commercetools HTTP API, which publishes none, but ends every request after 60 s."""

    rate: Rate = Field(50, description="Requests that may be sent in a second, on average.")
    burst: Burst = Field(100, description="Requests that may be sent at once after a pause.")
    timeout_seconds: Seconds = Field(65, description="Longest wait for an answer.")


class CloudshelfLimits(ApiLimits):
    """Limits of the Cloudshelf GraphQL API, which publishes none but the cost of single queries."""

    rate: Rate = Field(10, description="Requests that may be sent in a second, on average.")
    burst: Burst = Field(20, description="Requests that may be sent at once after a pause.")
    timeout_seconds: Seconds = Field(30, description="Longest wait for an answer.")


class Limits(Rules):
    """The rate budgets of both APIs."""

    commercetools: CommercetoolsLimits = Field(
        default_factory=CommercetoolsLimits, description="The commercetools HTTP API."
    )
    cloudshelf: CloudshelfLimits = Field(
        default_factory=CloudshelfLimits, description="The Cloudshelf GraphQL API."
    )


Size = Annotated[int, Field(ge=1, le=5000, json_schema_extra={"unit": "records"})]


class Batches(Rules):
    """How many records one call to Cloudshelf carries."""

    locations: Size = Field(50, description="Locations in a call.")
    products: Size = Field(250, description="Products in a call.")
    variants: Size = Field(
        500,
        description="Variants in a call, of all its products together.",
        json_schema_extra={"unit": "records"},
    )
    groups: Size = Field(100, description="Product groups in a call.")
    memberships: Size = Field(5, description="Groups whose members are set in a call.")


class RemovalGuard(Rules):
    """Holds a removal that is so large that it is more likely a mistake."""

    max_share: Annotated[float, Field(ge=0, le=1)] = Field(
        0.1,
        description="Share of the products on the kiosks that may vanish in one full pass without a person.",
        json_schema_extra={"unit": "share 0..1"},
    )

    def holds(self, count: int, total: int) -> bool:
        """Whether removing ``count`` of ``total`` products needs a person."""
        return count > total * self.max_share


class CustomTypeKeys(Rules):
    """Custom Types of commercetools that the flows write to. A resource has one Type: where another integration's
    Type is on it already, name that one here, and bootstrap adds our fields to it.
    """

    inventory: Key = Field(INVENTORY_TYPE, description="Key of the Type of inventory entries.")
    order: Key = Field(ORDER_TYPE, description="Key of the Type of orders.")


class LinkSettings(CatalogueRules):
    """One link as it stands in the file: a commercetools project seen as one Cloudshelf organisation needs it."""

    query: tuple[Annotated[str, StringConstraints(min_length=1, max_length=2000)], ...] = Field(
        (),
        description="Query predicates of commercetools that a product must fulfil to be shown on kiosks, "
        "e.g. categories(id is defined). Empty: every published product.",
    )
    full_pass_hour: Annotated[int, Field(ge=0, le=23)] = Field(
        2,
        description="Hour of the nightly full pass, which finds deletions.",
        json_schema_extra={"unit": "h UTC"},
    )
    overlap_seconds: Annotated[int, Field(ge=0, le=86_400)] = Field(
        300,
        description="How far a run looks back behind the last one, for changes that became visible late.",
        json_schema_extra={"unit": "s"},
    )
    audit_tolerance: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0,
        description="Share of held records with which an audit still passes by itself.",
        json_schema_extra={"unit": "share 0..1"},
    )
    movements: MovementRules = Field(
        default_factory=MovementRules, description="Kiosk sales and counts to commercetools."
    )
    availability: AvailabilityRules = Field(
        default_factory=AvailabilityRules, description="commercetools' availability to the kiosks."
    )
    live_stock: LiveStockRules = Field(
        default_factory=LiveStockRules, description="The endpoint that kiosks ask on a product view."
    )
    orders: OrderRules = Field(default_factory=OrderRules, description="Kiosk orders to commercetools.")
    retention: RetentionRules = Field(
        default_factory=RetentionRules, description="How long what is done is kept."
    )
    drift: DriftRules = Field(
        default_factory=DriftRules, description="The nightly comparison of both sides, and what it mends."
    )
    health: HealthRules = Field(
        default_factory=HealthRules,
        description="What sync health holds for normal, and when it calls somebody.",
    )
    protection: ProtectionRules = Field(
        default_factory=ProtectionRules, description="What kiosks are told less while stock is late."
    )
    removal_guard: RemovalGuard = Field(default_factory=RemovalGuard, description="Guard of mass removals.")
    concurrency: Annotated[int, Field(ge=1, le=64)] = Field(
        4, description="Calls under way at the same time in one task.", json_schema_extra={"unit": "calls"}
    )
    page_size: Annotated[int, Field(ge=1, le=500)] = Field(
        500, description="Products read from commercetools in a page.", json_schema_extra={"unit": "products"}
    )
    batches: Batches = Field(default_factory=Batches, description="Sizes of calls to Cloudshelf.")
    limits: Limits = Field(default_factory=Limits, description="Rate budgets of both APIs.")
    custom_types: CustomTypeKeys = Field(
        default_factory=CustomTypeKeys, description="Custom Types that bootstrap installs in commercetools."
    )
    data_root: str | None = Field(
        None,
        description="Object storage URL for run folders and reports, e.g. s3://bucket/cogent_ops. "
        "Empty: AIRFLOW_HOME/cogent_ops.",
    )


class LinkConfig(LinkSettings):
    """One link with its name: what services and clients work with."""

    name: str


class MappingFile(Rules):
    """``include/mapping.yaml``: which commercetools project feeds which Cloudshelf organisation, and how."""

    defaults: dict[str, Any] = Field(
        default_factory=dict, description="Settings that all links share; a link's own setting wins."
    )
    links: Annotated[dict[LinkName, LinkSettings], Field(min_length=1)] = Field(
        description="The links by name. 'default' has the plain DAG and connection ids; another, such as "
        "'austria', has catalogue_sync__austria, commercetools_austria and cloudshelf_austria."
    )


class LocationsFile(Rules):
    """``include/locations.yaml``: what is known about stores besides their commercetools Channels."""

    locations: dict[str, LocationOverride] = Field(
        default_factory=dict, description="Stores by the key of their commercetools Channel."
    )


class Config(Rules):
    """Both files together."""

    source: str
    links: Mapping[str, LinkConfig]
    locations: Mapping[str, LocationOverride]

    def link(self, name: str) -> LinkConfig:
        """The settings of one link.

        :raises ConfigError: when the file has no such link.
        """
        if name not in self.links:
            cure = f"{did_you_mean(name, self.links)}Configured are: {', '.join(self.links)}."
            raise ConfigError(self.source, f"there is no link '{name}'", cure, field="links")
        return self.links[name]


def json_schemas() -> dict[str, dict[str, Any]]:
    """JSON Schemas of the files by file name, with which editors complete and check while a person types."""
    mapping = MappingFile.model_json_schema()
    # What a link requires may stand in the defaults, so neither has to hold it.
    link = mapping["$defs"]["LinkSettings"]
    link["recommended"] = link.pop("required")
    mapping["$defs"]["Defaults"] = {**link, "title": "Defaults"}
    mapping["properties"]["defaults"] = {
        "$ref": "#/$defs/Defaults",
        "description": MappingFile.model_fields["defaults"].description,
    }
    return {
        name: {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
        for name, schema in (
            (MAPPING_FILE, mapping),
            (LOCATIONS_FILE, LocationsFile.model_json_schema()),
            (EXCEPTIONS_FILE, _partial(Policies.model_json_schema())),
            (PLAYBOOK_FILE, _partial(Book.model_json_schema())),
        )
    }


def _partial(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a file that need not hold what the shipped file holds."""
    for section in (schema, *schema["$defs"].values()):
        if "required" in section:
            section["recommended"] = section.pop("required")
    return schema


def load_config(include: Path | None = None) -> Config:
    """Read both files.

    :param include: the folder; ``None`` looks where :func:`~cogent_ops.links.include_candidates` says.
    :raises ConfigError: naming file, line, field and cure.
    """
    folder = _folder([include] if include is not None else include_candidates())
    locations = _locations(folder / LOCATIONS_FILE)
    file = YamlFile(folder / MAPPING_FILE)
    closed = tuple(key for key, override in locations.items() if override.exclude)
    links = {name: _link(file, name, closed) for name in _link_names(file)}
    return Config(source=file.name, links=links, locations=locations)


def _folder(candidates: list[Path]) -> Path:
    for folder in candidates:
        if (folder / MAPPING_FILE).is_file():
            return folder
    raise ConfigError(
        _MAPPING,
        f"not found in {', '.join(map(str, candidates))}",
        "Put the include folder beside dags/ and plugins/, or name it in the environment variable "
        "COGENT_OPS_INCLUDE.",
    )


def _locations(path: Path) -> dict[str, LocationOverride]:
    if not path.is_file():
        return {}
    file = YamlFile(path)
    return file.validate(LocationsFile, file.data).locations


def _link_names(file: YamlFile) -> list[str]:
    """Check the file's outline, so that each link can then be judged with its defaults merged in."""
    outline = {**file.data}
    links = outline.get("links")
    if isinstance(links, dict) and links:
        outline["links"] = dict.fromkeys(links, _SOUND)
    return list(file.validate(MappingFile, outline).links)


_SOUND = {"country": "DE", "currency": "EUR", "locales": ["de"], "required_locales": ["de"]}


def _link(file: YamlFile, name: str, closed: tuple[str, ...]) -> LinkConfig:
    own, shared = file.data["links"][name], file.data.get("defaults", {})
    places: tuple[Loc, ...] = (("links", name), ("defaults",))
    merged = _merged(shared, own)
    settings = file.validate(LinkSettings, merged, places[0], also=places[1:])
    locations = settings.locations.model_copy(update={"exclude": (*settings.locations.exclude, *closed)})
    return LinkConfig.model_validate({**dict(settings), "locations": locations, "name": name})


def _merged(shared: Any, own: Any) -> Any:
    """``own`` over ``shared``, mapping by mapping; a list is replaced as a whole, an empty section says nothing."""
    if own is None and isinstance(shared, dict):
        return shared
    if not isinstance(shared, dict) or not isinstance(own, dict):
        return own
    return {**shared, **{key: _merged(shared.get(key), value) for key, value in own.items()}}


def load_policies(include: Path | None = None) -> Policies:
    """Read ``exceptions.yaml``; what it does not say, or all when there is no such file, is as released.

    :param include: the folder; ``None`` looks where :func:`~cogent_ops.links.include_candidates` says.
    :raises ConfigError: naming file, line, field and cure.
    """
    return _read(Policies, EXCEPTIONS_FILE, include)


def load_book(include: Path | None = None) -> Book:
    """Read ``playbook.yaml``; what it does not say, or all when there is no such file, is as released.

    :param include: the folder; ``None`` looks where :func:`~cogent_ops.links.include_candidates` says.
    :raises ConfigError: naming file, line, field and cure.
    """
    return _read(Book, PLAYBOOK_FILE, include)


def _read(model: type[Model], name: str, include: Path | None) -> Model:
    folder = include or include_folder()
    own = None if folder is None else folder / name
    try:
        # Not the time of the last writing: a mistake that is kept may be a lack of permissions.
        changed = 0 if own is None else own.stat().st_ctime_ns
    except FileNotFoundError:
        own, changed = None, 0
    return _over_the_released(model, name, own, changed)


def policies_in_force() -> Policies:
    """The same for what must not fail because of a typing error: then the released policies count.

    The log says so, and :func:`load_policies` says it to whoever looks at exceptions or sends messages.
    """
    return _in_force(Policies, EXCEPTIONS_FILE)


def book_in_force() -> Book:
    """The playbook for those who need it now; the released one, and a line in the log, where the own has a mistake."""
    return _in_force(Book, PLAYBOOK_FILE)


def _in_force(model: type[Model], name: str) -> Model:
    try:
        return _read(model, name, None)
    except ConfigError as error:
        log.warning("The released %s counts, because the business's own cannot be used: %s", name, error)
        return _over_the_released(model, name, None, 0)


# The cache is typed away by functools, so this is what callers see of it.
def _over_the_released(model: type[Model], name: str, own: Path | None, changed: int) -> Model:
    found = _validated(model, name, own, changed)
    if isinstance(found, ConfigError):
        raise found.with_traceback(None)
    return model.model_validate(found)


@lru_cache(maxsize=8)
def _validated(model: type[BaseModel], name: str, own: Path | None, changed: int) -> BaseModel | ConfigError:
    """The file's content, or what is wrong with it: to read a long file again for every page takes too long.

    :param changed: when the file changed last, so that what was read before is not given again.
    """
    try:
        shipped = YamlFile(_SHIPPED_FOLDER / name)
        if own is None:
            return shipped.validate(model, shipped.data)
        file = YamlFile(own)
        return file.validate(model, _merged(shipped.data, file.data))
    except ConfigError as error:
        return error
