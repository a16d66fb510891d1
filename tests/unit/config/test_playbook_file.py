"""``include/playbook.yaml``: what it need not say, and what a person is told when it is wrong."""

from __future__ import annotations

import logging
from pathlib import Path

import jsonschema
import pytest
import yaml

from cogent_ops.config import SHIPPED, book_in_force, json_schemas, load_book, load_policies
from cogent_ops.errors import ConfigError

RELEASED = load_book(SHIPPED.parent)


@pytest.fixture(autouse=True)
def include(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An include folder as a business has it, without a book of its own."""
    (tmp_path / "mapping.yaml").write_text("links: {default: {}}")
    monkeypatch.setenv("COGENT_OPS_INCLUDE", str(tmp_path))
    return tmp_path


def test_without_a_file_the_book_is_as_released(include: Path) -> None:
    assert load_book() == RELEASED


def test_a_list_is_replaced_as_a_whole_and_a_word_for_itself(include: Path) -> None:
    (include / "playbook.yaml").write_text(
        """
routines:
  finance:
    - {at: "08:00", look: Look at the ledger., fine: It balances to the penny., otherwise: Call the bank at once.}
glossary: {SKU: "Our article number, as on the label."}
""",
        encoding="utf-8",
    )
    book = load_book()
    assert [one.at for one in book.routines["finance"]] == ["08:00"]  # type: ignore[index]  # names are keys, too
    assert book.routines["ecommerce"] == RELEASED.routines["ecommerce"]  # type: ignore[index]
    assert book.glossary["SKU"].startswith("Our article number")
    assert len(book.glossary) == len(RELEASED.glossary)


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("routines:\n  finance: []", 1, "routines lacks finance"),
        ("\nrules:\n  - See [the inbox](page:inbx).", 3, "leads nowhere. Did you mean 'page:inbox'"),
        ("rules:\n  - See the card [oversold](card:oversel).", 2, "Did you mean 'card:oversell'"),
        ("glosary: {}", 1, "Did you mean 'glossary'"),
        ("people:\n  finanzen: Grace Example", 2, "people.finanzen"),
        ("month_end: [", 1, "not readable as YAML"),
    ],
)
def test_a_mistake_is_told_with_file_and_line(
    include: Path, text: str, line: int, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    (include / "playbook.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"playbook\.yaml, line") as caught:
        load_book()
    assert told in str(caught.value)
    assert caught.value.line == line
    with caplog.at_level(logging.WARNING):
        assert book_in_force() == RELEASED
    assert told in caplog.text


def test_a_card_that_leads_nowhere_is_told(include: Path) -> None:
    (include / "exceptions.yaml").write_text(
        "kinds:\n  oversell:\n    playbook:\n      tell: See [there](page:nowhere), and ask.\n",
        encoding="utf-8",
    )
    with pytest.raises(ConfigError, match="links to 'page:nowhere', which leads nowhere") as caught:
        load_policies()
    assert caught.value.line == 4


def test_editors_check_the_file_as_the_package_does() -> None:
    schema = json_schemas()["playbook.yaml"]
    jsonschema.Draft202012Validator.check_schema(schema)
    released = yaml.safe_load((SHIPPED.parent / "playbook.yaml").read_text(encoding="utf-8"))
    jsonschema.validate(released, schema)
    jsonschema.validate({"people": {"finance": "Grace Example"}}, schema)
    mistakes: tuple[object, ...] = (
        {"glossary": {"SKU": 1}},
        {"peple": {}},
        {"month_end": [{"ownr": "finance"}]},
    )
    for wrong in mistakes:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)
