"""The OpenAPI as JSON Schemas that leave nothing open: subtypes by discriminator, no field that is not described."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from tests.support.contracts import Json, OpenApi

_PREFIX = "#/components/schemas/"
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?")


def _is_moment(value: object) -> bool:
    return not isinstance(value, str) or _MOMENT.fullmatch(value) is not None


_FORMATS = FormatChecker(formats=())
_FORMATS.checkers = {"datetime": (_is_moment, ())}


class Exact:
    """Validates against the described schemas and nothing beyond them.

    Plain validation takes fields that no schema knows, and of a ``Message`` or an update action it checks the base
    alone. Here an object has the fields described for it and its ancestors only (unless the contract leaves it open),
    and a discriminator decides which subtype must fit.
    """

    def __init__(self, api: OpenApi) -> None:
        self._schemas: Json = api.spec["components"]["schemas"]
        self._validators: dict[str, Draft202012Validator] = {}

    def problems(self, schema: Json, value: Any) -> list[str]:
        """What is wrong with a value, each with the place where it stands."""
        key = repr(schema)
        if key not in self._validators:
            rooted = {**self._converted(schema), "$defs": self._definitions}
            self._validators[key] = Draft202012Validator(rooted, format_checker=_FORMATS)
        errors = self._validators[key].iter_errors(value)
        return [f"{'/'.join(map(str, error.absolute_path))}: {error.message}"[:300] for error in errors]

    @cached_property
    def _definitions(self) -> Json:
        return {name: self._converted(schema, name) for name, schema in self._schemas.items()}

    def _converted(self, schema: Json, name: str = "") -> Json:
        if "$ref" in schema:
            return {"$ref": f"#/$defs/{schema['$ref'].removeprefix(_PREFIX)}"}
        discriminator = _own_discriminator(schema)
        if discriminator is not None:
            return self._by_subtype(schema, discriminator, self._left_out(name))
        if "properties" in schema or "allOf" in schema:
            return self._flat(schema)
        kept: Json = {name: schema[name] for name in ("type", "enum", "format") if name in schema}
        return {**kept, "items": self._converted(schema["items"])} if "items" in schema else kept

    def _flat(self, schema: Json) -> Json:
        parts = list(self._parts(schema))
        properties = {name: one for part in parts for name, one in part.get("properties", {}).items()}
        is_open = not properties or any(part.get("x-open") for part in parts)
        return {
            "type": "object",
            "properties": {name: self._converted(one) for name, one in properties.items()},
            "required": sorted({name for part in parts for name in part.get("required", ())}),
            **({} if is_open else {"additionalProperties": False}),
        }

    def _parts(self, schema: Json) -> Iterator[Json]:
        """A schema's ancestors, oldest first, then itself."""
        if "$ref" in schema:
            yield from self._parts(self._schemas[schema["$ref"].removeprefix(_PREFIX)])
            return
        for part in schema.get("allOf", ()):
            yield from self._parts(part)
        yield schema

    def _left_out(self, name: str) -> dict[str, str]:
        """Subtypes by their kind that the export leaves out of the mapping: those of a type in between.

        An ``OrderImportedMessage`` is an ``OrderMessage``, which is a ``Message``.
        """
        if not name:
            return {}
        between = {other for other in self._heirs(name) if self._heirs(other)}
        return {heir.removesuffix(name): heir for middle in between for heir in self._heirs(middle) - between}

    def _heirs(self, name: str) -> set[str]:
        return self._inheritance.get(name, set())

    @cached_property
    def _inheritance(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for name, schema in self._schemas.items():
            for part in schema.get("allOf", ()):
                if "$ref" in part:
                    found.setdefault(part["$ref"].removeprefix(_PREFIX), set()).add(name)
        return found

    def _by_subtype(self, schema: Json, discriminator: Json, left_out: dict[str, str]) -> Json:
        name = discriminator["propertyName"]
        mapped = {
            kind: reference.removeprefix(_PREFIX) for kind, reference in discriminator["mapping"].items()
        }
        kinds = {**left_out, **mapped}
        is_open = any(part.get("x-open") for part in self._parts(schema))
        return {
            "type": "object",
            "required": [name],
            "properties": {name: {"type": "string"} if is_open else {"enum": list(kinds)}},
            "allOf": [
                {"if": {"properties": {name: {"const": kind}}}, "then": {"$ref": f"#/$defs/{subtype}"}}
                for kind, subtype in kinds.items()
            ],
        }


def _own_discriminator(schema: Json) -> Json | None:
    """The discriminator of the schema itself, not of an ancestor that it refers to."""
    for part in (schema, *schema.get("allOf", ())):
        found: Json | None = part.get("discriminator")
        if found and "mapping" in found:
            return found
    return None
