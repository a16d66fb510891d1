"""Descriptions as a kiosk may show them: a few harmless HTML tags around readable text."""

from __future__ import annotations

import re
from collections.abc import Container
from functools import lru_cache
from html import escape, unescape
from html.parser import HTMLParser

from cogent_ops.domain.text import CONTROL

#: Longer than any description that the product master schema lets pass; beyond it parsing is not worth its time.
LONGEST = 200_000

#: Elements whose content is no text for a reader.
UNREADABLE = frozenset(
    (
        *("applet", "audio", "canvas", "head", "iframe", "math", "noscript", "object", "script", "select"),
        *("style", "svg", "template", "textarea", "title", "video"),
    )
)
_VOID = frozenset(("br", "hr"))
_NEVER_IN_ITSELF = frozenset(("p", "li", "h1", "h2", "h3", "h4", "h5", "h6", "dt", "dd", "tr", "td", "th"))
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_MOST_ESCAPES = 4
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_CUT_OFF_TAG = re.compile(r"<[/!a-zA-Z][^<>]*\Z")
_DECLARATION = re.compile(r"<[!?][^<>]*>")
_NEVER_CLOSED = re.compile(r"<(?=[^<>]*(?:<|\Z))")
#: Tags that may be dropped from the middle of a word.
_INLINE = frozenset(
    ("a", "abbr", "b", "em", "font", "i", "img", "mark", "s", "small", "span", "strong", "sub", "sup", "u")
)
#: UTF-8 that was read as Windows-1252: the image of a lead byte and of its continuation bytes.
_MOJIBAKE = re.compile(
    "[\u00c2\u00c3][\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u203a\u20ac"
    "\u2122]|\u00e2[\u0080\u20ac\u0082\u201a\u0084\u201e][\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e"
    "\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122]"
)


def clean_html(text: str, tags: tuple[str, ...]) -> str:
    """Balanced HTML with no tags but ``tags``, none of them with attributes.

    Scripts and the like go with their content; of other tags the text stays. Text that was escaped twice or
    read in the wrong encoding is mended, control characters are dropped.
    """
    if len(text) > LONGEST:
        return escape(readable(text), quote=False)
    if _flat(tags).fullmatch(text):
        return readable(text).strip()
    cleaner = _Cleaner(tags)
    cleaner.feed(_parseable(text))
    cleaner.close()
    return cleaner.result()


@lru_cache(maxsize=16)
def _flat(tags: tuple[str, ...]) -> re.Pattern[str]:
    """Text with at most one level of the tags and no entity: most descriptions, which need no parser."""
    void = [tag for tag in tags if tag in _VOID]
    pairs = [tag for tag in tags if tag not in _VOID]
    kept = [rf"<(?:{'|'.join(void)})>"] if void else []
    kept += [rf"<({'|'.join(pairs)})>[^<>&]*+</\1>"] if pairs else []
    # Not possessive as a whole: with a group inside, early releases of Python 3.11 may match what does not fit.
    return re.compile(f"(?:{'|'.join(('[^<>&]++', *kept))})*")


def readable(text: str) -> str:
    """Text with what went wrong on its way here undone: double escapes, wrong encoding, control characters."""
    if "&" in text:
        for _ in range(_MOST_ESCAPES):
            if not _ENTITY.search(text):
                break
            text = unescape(text)
    if not text.isascii():
        text = _MOJIBAKE.sub(lambda match: _redecoded(match[0]), text)
    return text if text.isprintable() else CONTROL.sub(" ", text)


def _parseable(text: str) -> str:
    """The text without what the standard parser fails at or takes quadratic time for.

    Those are comments, declarations, and tags that never end.
    """
    text = text.replace("<![CDATA[", "").replace("]]>", "")
    end = text.rfind("-->") + len("-->")
    if end >= len("-->"):
        text = _COMMENT.sub("", text[:end]) + text[end:]
    return _DECLARATION.sub("", _NEVER_CLOSED.sub("&lt;", _CUT_OFF_TAG.sub("", text)))


class _Cleaner(HTMLParser):
    def __init__(self, tags: Container[str]) -> None:
        super().__init__(convert_charrefs=True)
        self._tags = tags
        self._parts: list[str] = []
        self._open: list[str] = []
        self._unreadable: list[str] = []
        self._gap = False

    def result(self) -> str:
        """What was kept, with all open tags closed."""
        return "".join((*self._parts, *(f"</{tag}>" for tag in reversed(self._open)))).strip()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._gap |= tag not in _INLINE
        if tag in UNREADABLE:
            self._unreadable.append(tag)
        if self._unreadable or tag not in self._tags:
            return
        if tag in _VOID:
            self._parts.append(f"<{tag}>")
            return
        if tag in _NEVER_IN_ITSELF and self._open and self._open[-1] == tag:
            self._close(tag)
        self._open.append(tag)
        self._parts.append(f"<{tag}>")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if not self._unreadable and tag in self._tags and tag in _VOID:
            self._parts.append(f"<{tag}>")

    def handle_endtag(self, tag: str) -> None:
        self._gap |= tag not in _INLINE
        if self._unreadable:
            if tag in self._unreadable:
                del self._unreadable[self._unreadable.index(tag) :]
        elif tag in self._open:
            self._close(tag)

    def handle_data(self, data: str) -> None:
        if self._unreadable:
            return
        text = escape(readable(data), quote=False)
        if self._gap and self._parts and not self._parts[-1].endswith((" ", ">")):
            text = f" {text}"
        self._parts.append(text)
        self._gap = False

    def _close(self, tag: str) -> None:
        """Close the tag and everything that was opened inside it."""
        while True:
            last = self._open.pop()
            self._parts.append(f"</{last}>")
            if last == tag:
                return


def _redecoded(text: str) -> str:
    raw = b"".join(_byte(char) for char in text)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return text


def _byte(char: str) -> bytes:
    try:
        return char.encode("cp1252")
    except UnicodeEncodeError:
        return char.encode("latin-1", errors="replace")
