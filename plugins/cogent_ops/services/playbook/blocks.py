"""What a page of the playbook is made of: the same pieces for the page in Airflow and for the document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cogent_ops.domain.wording import Words


@dataclass(frozen=True)
class Paragraph:
    """A paragraph."""

    type: ClassVar[str] = "paragraph"
    words: Words


@dataclass(frozen=True)
class Steps:
    """What is done one after the other."""

    type: ClassVar[str] = "steps"
    items: tuple[Words, ...]


@dataclass(frozen=True)
class Points:
    """What belongs together, in any order."""

    type: ClassVar[str] = "points"
    items: tuple[Words, ...]


@dataclass(frozen=True)
class Table:
    """A table; the first cell of a row says what the row is about."""

    type: ClassVar[str] = "table"
    head: tuple[str, ...]
    rows: tuple[tuple[Words, ...], ...]


@dataclass(frozen=True)
class Facts:
    """A card: labels, and what there is to say about each."""

    type: ClassVar[str] = "facts"
    rows: tuple[tuple[str, tuple[Paragraph | Steps, ...]], ...]


@dataclass(frozen=True)
class Terms:
    """Words or parts of a page with their meaning: anchor (may be empty), word, meaning."""

    type: ClassVar[str] = "terms"
    rows: tuple[tuple[str, str, Words], ...]


@dataclass(frozen=True)
class Picture:
    """The flow of data.

    :param svg: drawing that needs no style or script, with colours of the page.
    :param mermaid: the same for a document.
    :param words: the same in sentences, for those who do not see it.
    """

    type: ClassVar[str] = "picture"
    title: str
    svg: str
    mermaid: str
    words: tuple[Words, ...]


@dataclass(frozen=True)
class Sample:
    """Text as it is sent."""

    type: ClassVar[str] = "sample"
    text: str


Block = Paragraph | Steps | Points | Table | Facts | Terms | Picture | Sample


@dataclass(frozen=True)
class Section:
    """A part of the book.

    :param anchor: unique within the book.
    """

    anchor: str
    title: str
    blocks: tuple[Block, ...]
    sections: tuple[Section, ...] = ()


@dataclass(frozen=True)
class Pages:
    """The whole book."""

    title: str
    sections: tuple[Section, ...]
