"""Descriptions: whatever comes in, harmless and balanced HTML comes out."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogent_ops.domain.markup import LONGEST, clean_html
from cogent_ops.domain.text import has_control_characters

TAGS = ("p", "br", "ul", "li", "b")


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("", ""),
        ("Nur Text", "Nur Text"),
        ("Text & mehr < 5", "Text &amp; mehr &lt; 5"),
        ("<p>Hose „Yara“.</p><p>Weit.</p>", "<p>Hose „Yara“.</p><p>Weit.</p>"),
        ("<P CLASS=x onclick='a()'>Hose</P>", "<p>Hose</p>"),
        ("<div><p>Hose</div>", "<p>Hose</p>"),
        ("<p>eins<p>zwei", "<p>eins</p><p>zwei</p>"),
        ("<ul><li>a<li>b</ul>", "<ul><li>a</li><li>b</li></ul>"),
        ("<b>fett</p></b>", "<b>fett</b>"),
        ("a<br/>b<br>c", "a<br>b<br>c"),
        ('vor<script>alert("x")</script>nach', "vor nach"),
        ("vor<style>p{}</style><svg><p>x</p></svg>nach", "vor nach"),
        ("a<!-- copied from a feed -->b<img src=x onerror=alert(1)>", "ab"),
        ("<a href='javascript:x'>Link</a>", "Link"),
        ("&lt;script&gt;", "&lt;script&gt;"),
        ("Gr&ouml;&szlig;e &amp;amp; Passform", "Größe &amp; Passform"),
        ("<![CDATA[<p>Gr&ouml;ße</p>]]>", "<p>Größe</p>"),
        ("<p>GrÃ¶ÃŸe fÃ¤llt klein aus</p>", "<p>Größe fällt klein aus</p>"),
        ("Itâ€™s good", "It’s good"),
        ("naïve Ärmel, 20 € – „gut“", "naïve Ärmel, 20 € – „gut“"),
        ("a\x00b\x0bc\nd", "a b c d"),
        ("<table><tr><td>S</td><td>M</td></table", "S M"),
        ("un<span>teil</span>bar<img src=x>, Punkt<div>Absatz</div>", "unteilbar, Punkt Absatz"),
        ("  <p>x</p> ", "<p>x</p>"),
    ],
)
def test_cleaning(raw: str, clean: str) -> None:
    assert clean_html(raw, TAGS) == clean


def test_only_the_tags_asked_for_survive() -> None:
    assert clean_html("<h2>Titel</h2><p>Text</p>", ("h2",)) == "<h2>Titel</h2>Text"
    assert clean_html("<p>Text</p><br>", ()) == "Text"


def test_a_huge_description_is_kept_as_text() -> None:
    raw = "<p>" * LONGEST
    assert clean_html(raw, TAGS) == "&lt;p&gt;" * LONGEST


pieces = st.lists(
    st.sampled_from(
        [
            *(
                "<p>",
                "</p>",
                "<ul>",
                "<li>",
                "</li>",
                "</ul>",
                "<b>",
                "</b>",
                "<br>",
                "<br/>",
                "<div a='1'>",
                "</div>",
            ),
            *(
                "<script>",
                "</script>",
                "<!--",
                "-->",
                "<![CDATA[",
                "]]>",
                "<",
                ">",
                "&",
                "&amp;",
                "&lt;b&gt;",
                '"',
            ),
            *("&#0;", "&bogus;", "Ã¤", "ä", "\x00", "\ud800", "text", " ", "<p", "</", "<svg><p>", "</svg>"),
            *("<!", "<![", "<?", "[", "'", "=", "<!doctype html>", "/", "<a href=", "</p ", "<script "),
        ]
    ),
    max_size=15,
).map("".join)


@pytest.mark.parametrize(
    "piece",
    [
        "<",
        "<!--",
        "<!-->",
        "<a ",
        "</p",
        "<!",
        "<![>",
        "<?",
        "&",
        "&amp;",
        "<p a='",
        "<script>",
        "<svg>",
        "<p><b></p>",
    ],
)
def test_hopeless_markup_takes_no_longer_than_its_length(piece: str) -> None:
    """Quadratic time would let this run for minutes, into the test's time limit."""
    assert isinstance(clean_html(piece * (LONGEST // len(piece)), TAGS), str)


class Balance(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS
        assert not attrs
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@given(raw=pieces | st.text(max_size=40))
def test_the_result_is_balanced_harmless_and_clean_already(raw: str) -> None:
    clean = clean_html(raw, TAGS)
    balance = Balance()
    balance.feed(clean)
    balance.close()
    assert balance.open == []
    assert set(re.findall(r"<[^>]*>", clean)) <= {f"<{end}{tag}>" for tag in TAGS for end in ("", "/")}
    assert not has_control_characters(clean)
