"""What a kiosk asks: the query of a request, and the identifiers in it, which come in every form there is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from cogent_ops.domain.identifiers import LOCATION, VARIANT
from cogent_ops.errors import PermanentError

LONGEST_ID = 512
#: Longest SKU, and key of a Channel, that commercetools takes.
LONGEST_NAME = 256
#: How Cloudshelf's own ids end.
_ULID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}", re.IGNORECASE)
_GID = re.compile(r"gid://(?P<owner>[^/]+)/(?P<type>[^/]+)/(?P<id>.+)")
_NAMES = ("variant", "product", "location")


class Refused(PermanentError):
    """The question has no answer, and asking again gives none either.

    :param status: HTTP status code.
    :param code: for programs, e.g. ``unknown_variant``.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


@dataclass(frozen=True)
class Question:
    """The parameters of a request as they came; ``None``: not given."""

    variant: str
    product: str | None = None
    location: str | None = None

    @classmethod
    def of(cls, parameters: Iterable[tuple[str, str]]) -> Question:
        """The question in a query; parameters of other names are let pass.

        :param parameters: names and decoded values. An empty value counts as not given.
        :raises Refused: with 400, naming the parameter and what is wrong with it.
        """
        given: dict[str, str] = {}
        for name, value in parameters:
            text = value.strip()
            if name not in _NAMES or not text:
                continue
            if given.setdefault(name, text) != text:
                raise _bad(f"'{name}' is given twice, with different values")
            if len(text) > LONGEST_ID:
                raise _bad(f"'{name}' has {len(text)} characters, {LONGEST_ID} at most can be an id")
            if not text.isprintable():
                raise _bad(f"'{name}' holds control characters")
        if "variant" not in given:
            raise _bad("'variant' is missing: ask with ?variant=<id>, and product= and location= where known")
        return cls(given["variant"], given.get("product"), given.get("location"))


def _bad(problem: str) -> Refused:
    return Refused(400, "bad_request", f"{problem}.")


@dataclass(frozen=True)
class Identifier:
    """What an id may mean.

    :param names: SKUs, or Channel keys, that it may stand for, the likeliest first.
    :param internal: Cloudshelf's own ULID in it, when only Cloudshelf knows what it stands for.
    """

    names: tuple[str, ...] = ()
    internal: str | None = None


def variant_identifier(text: str) -> Identifier:
    """What a variant's id may mean: a SKU as it is, the last part of an external gid, or Cloudshelf's own."""
    return _identifier(text, VARIANT)


def location_identifier(text: str) -> Identifier:
    """The same for a location, which stands for the key of a supply Channel."""
    return _identifier(text, LOCATION)


def ulid_of(gid: str) -> str:
    """The last part of Cloudshelf's own id, by which ids with and without the rest can be compared."""
    return gid.rpartition("/")[2].upper()


def _identifier(text: str, ours: str) -> Identifier:
    found = _GID.fullmatch(text)
    if found is None:
        internal = text.upper() if _ULID.fullmatch(text) else None
        # Somebody may hand over the last part of our gid, in which the SKU is percent-encoded.
        return Identifier(_distinct(text, unquote(text)), internal)
    last = found["id"].rpartition("/")[2]
    if found["owner"] == "external":
        if found["type"] == ours:
            return Identifier(_distinct(unquote(last)))
        return Identifier(_distinct(unquote(last), last))
    return (
        Identifier(internal=last.upper())
        if _ULID.fullmatch(last)
        else Identifier(_distinct(unquote(last), last))
    )


def _distinct(*names: str) -> tuple[str, ...]:
    usable = (name for name in names if name.strip() and name.isprintable() and len(name) <= LONGEST_NAME)
    return tuple(dict.fromkeys(usable))
