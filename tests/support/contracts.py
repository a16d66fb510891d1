"""The official contracts of both APIs, where they are at hand, as something to check against."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import yaml
from openapi_schema_validator import OAS30Validator

Json = dict[str, Any]

ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("COGENT_OPS_SHARED", ROOT / "../shared")) / "contracts"


def contract(name: str) -> Path:
    """Path of a contract; the test is skipped where it is absent."""
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"the official contract {name} is not here ({SHARED})")
    return path


@dataclass(frozen=True)
class OpenApi:
    """The official description of the HTTP API."""

    spec: Json

    def path(self, path: str) -> Json:
        """The path item for a concrete path; the most literal one wins."""
        found = [
            (len(re.sub(r"\{\w+\}", "", template)), template)
            for template in self.spec["paths"]
            if re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template)), path)
        ]
        assert found, f"there is no {path}"
        item: Json = self.spec["paths"][max(found)[1]]
        return item

    def resolved(self, schema: Json) -> Json:
        """A schema behind its reference."""
        while "$ref" in schema:
            schema = self.spec["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return schema

    def check(self, schema: Json, value: Any) -> None:
        """Validate a value, update actions by what they are."""
        rooted = {**schema, "components": self.spec["components"]}
        errors = [error.message for error in OAS30Validator(rooted).iter_errors(value)]
        assert errors == []
        found = self.resolved(schema)
        mapping = found.get("discriminator", {}).get("mapping", {})
        if mapping:
            kind = value[found["discriminator"]["propertyName"]]
            self.check({"$ref": mapping[kind]}, value)
            return
        if isinstance(value, dict):
            self._check_object(found, value)
        elif isinstance(value, list):
            for one in value:
                self.check(found["items"], one)

    def _check_object(self, found: Json, value: Json) -> None:
        known = self.properties(found)
        if found.get("x-open") or not known:
            return  # a free-form object
        assert known.keys() >= value.keys(), f"unknown fields {value.keys() - known.keys()}"
        for name, inner in value.items():
            self.check(known[name], inner)

    def properties(self, schema: Json) -> Json:
        """Properties of an object, those it inherits included."""
        found = self.resolved(schema)
        inherited = [self.properties(part) for part in found.get("allOf", ())]
        return {
            name: kind for part in (*inherited, found.get("properties", {})) for name, kind in part.items()
        }

    def check_query(self, parameters: list[Json], query: str) -> None:
        """Every parameter is known and of its type; every mandatory one is there."""
        sent = parse_qs(query, keep_blank_values=True)
        known = {one["name"]: one for one in parameters if one["in"] == "query"}
        assert known.keys() >= sent.keys()
        assert all(name in sent for name, one in known.items() if one.get("required"))
        for name, texts in sent.items():
            kind = known[name]["schema"]
            if kind["type"] == "array":
                self.check(kind, [_typed(self.resolved(kind["items"]), text) for text in texts])
            else:
                assert len(texts) == 1, name
                self.check(kind, _typed(kind, texts[0]))

    def check_answer(self, schema: Json, value: Any) -> None:
        """Validate what a server says: by the schema as a whole, without looking for unknown fields."""
        validator = OAS30Validator({**schema, "components": self.spec["components"]})
        found = [
            f"{'/'.join(map(str, error.absolute_path))}: {error.message}"
            for error in validator.iter_errors(value)
        ]
        assert not found, found

    def answer(self, described: Json, status: int) -> Json | None:
        """Schema of an answer's body; ``None`` when the operation does not describe this status."""
        found = described["responses"].get(str(status))
        if found is None:
            return None
        content: Json = found.get("content", {}).get("application/json", {})
        return content.get("schema")


def _typed(kind: Json, text: str) -> Any:
    return json.loads(text) if kind["type"] in ("number", "integer", "boolean") else text


@cache
def commercetools() -> OpenApi:
    """The HTTP API."""
    text = contract("commercetools-openapi.yaml").read_bytes()
    spec: Json = yaml.load(text, Loader=yaml.CSafeLoader)
    for schema in spec["components"]["schemas"].values():
        _without_patterns(schema)
    return OpenApi(spec)


def _without_patterns(schema: Json) -> None:
    """Undo how the export renders properties named by a pattern.

    A property ``/pattern/`` stands for any number of fields of any type; there it became a mandatory plain name, or
    text for everything that is not named.
    """
    for part in (schema, *schema.get("allOf", ())):
        names = {*part.get("properties", {}), *part.get("required", ())}
        patterns = {name for name in names if name.startswith("/")}
        if patterns or part.get("additionalProperties") == {"type": "string"}:
            schema["x-open"] = True
            part.pop("additionalProperties", None)
            part["properties"] = {
                n: kind for n, kind in part.get("properties", {}).items() if n not in patterns
            }
            part["required"] = [name for name in part.get("required", ()) if name not in patterns]
