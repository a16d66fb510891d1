"""The two files of include/: what is read, and what a person is told when it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from cogent_ops.config import Config, RemovalGuard, load_config
from cogent_ops.domain.rules import InventoryPolicy
from cogent_ops.errors import ConfigError

ROOT = Path(__file__).parents[3]

SOUND = """\
defaults:
  locales: [de, en]
  required_locales: [de]
links:
  default:
    country: DE
    currency: EUR
"""


def written(folder: Path, mapping: str = SOUND, locations: str | None = None) -> Path:
    (folder / "mapping.yaml").write_text(mapping, encoding="utf-8")
    if locations is not None:
        (folder / "locations.yaml").write_text(locations, encoding="utf-8")
    return folder


def refusal(folder: Path) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_config(folder)
    return caught.value


@pytest.fixture
def shipped() -> Config:
    return load_config(ROOT / "include")


def test_shipped_files_are_sound(shipped: Config) -> None:
    link = shipped.link("default")
    assert (link.name, link.country, link.currency) == ("default", "DE", "EUR")
    assert link.attributes.barcode == ("gtin",)
    assert shipped.locations == {}


def test_sunrise_example_is_sound() -> None:
    link = load_config(ROOT / "docs/examples/sunrise").link("default")
    assert link.attributes.options == ("colorFreeDefinition", "size")


def test_folder_is_found_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COGENT_OPS_INCLUDE", str(written(tmp_path)))
    assert load_config().link("default").locales == ("de", "en")


def test_missing_files_name_the_places_looked_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COGENT_OPS_INCLUDE", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match=r"nowhere.*COGENT_OPS_INCLUDE"):
        load_config()


def test_links_share_defaults_and_override_them(tmp_path: Path) -> None:
    mapping = """\
defaults:
  locales: [de, en]
  required_locales: [de]
  stock: {safety_stock: 2, when_out_of_stock: CONTINUE}
  attributes: {barcode: [gtin, ean]}
links:
  default: {country: DE, currency: EUR}
  britain:
    country: GB
    currency: GBP
    locales: [en]
    required_locales: [en]
    stock: {safety_stock: 0}
    attributes: {barcode: [upc]}
"""
    config = load_config(written(tmp_path, mapping))
    britain, default = config.link("britain"), config.link("default")
    assert (default.stock.safety_stock, britain.stock.safety_stock) == (2, 0)
    assert britain.stock.when_out_of_stock is InventoryPolicy.CONTINUE
    assert britain.attributes.barcode == ("upc",)
    assert (default.locales, britain.locales) == (("de", "en"), ("en",))


def test_a_link_may_consist_of_defaults_alone(tmp_path: Path) -> None:
    mapping = SOUND.replace("links:", "  country: AT\n  currency: EUR\nlinks:\n  austria:")
    assert load_config(written(tmp_path, mapping)).link("austria").country == "AT"


def test_sections_whose_lines_are_all_comments_count_as_left_out(tmp_path: Path) -> None:
    mapping = SOUND + "    prices:\n      # channel: x\n    data_root:\n"
    link = load_config(written(tmp_path, mapping)).link("default")
    assert link.prices.channel is None
    assert link.data_root is None


def test_limits_of_one_api_may_be_changed_in_part(tmp_path: Path) -> None:
    link = load_config(written(tmp_path, SOUND + "    limits: {cloudshelf: {rate: 3.5}}\n")).link("default")
    assert (link.limits.cloudshelf.rate, link.limits.cloudshelf.timeout_seconds) == (3.5, 30)
    assert link.limits.commercetools.rate == 50


def test_an_excluded_location_is_no_store_of_any_link(tmp_path: Path) -> None:
    locations = "locations:\n  warehouse: {exclude: true}\n  berlin: {display_name: Mitte}\n"
    config = load_config(written(tmp_path, SOUND + "    locations: {exclude: [office]}\n", locations))
    assert config.link("default").locations.exclude == ("office", "warehouse")
    assert config.locations["berlin"].display_name == "Mitte"


def test_wrong_link_name_says_which_there_are(tmp_path: Path) -> None:
    config = load_config(written(tmp_path))
    with pytest.raises(
        ConfigError, match=r"no link 'defautl'\. Did you mean 'default'\? Configured are: default"
    ):
        config.link("defautl")


@pytest.mark.parametrize(
    ("mapping", "line", "field", "words"),
    [
        pytest.param("", 1, "links", ["is missing"], id="empty file"),
        pytest.param("- a\n- b\n", 1, None, ["no mapping"], id="a list"),
        pytest.param("links: {a: [\n", 2, None, ["not readable as YAML"], id="not YAML"),
        pytest.param("links:\n\tdefault: x\n", 2, None, ["not readable as YAML", "\\t"], id="tab"),
        pytest.param("links: {}\n", 1, "links", ["links by name"], id="no link"),
        pytest.param(
            SOUND + "    currency: USD\n", 8, "links.default.currency", ["second time"], id="duplicate key"
        ),
        pytest.param(
            SOUND + "    prices:\n      chanel: x\n",
            9,
            "links.default.prices.chanel",
            ["not known", "Did you mean 'channel'?"],
            id="unknown field",
        ),
        pytest.param(
            "defaults: {prices: {\n  chanel: x}}\n" + SOUND[SOUND.index("links") :],
            2,
            "defaults.prices.chanel",
            ["Did you mean 'channel'?"],
            id="unknown field in the defaults",
        ),
        pytest.param(
            SOUND + "extra: 1\n", 8, "extra", ["not known", "defaults, links"], id="unknown top field"
        ),
        pytest.param(SOUND + "    name: x\n", 8, "links.default.name", ["not known"], id="name is no field"),
        pytest.param(
            SOUND.replace("EUR", "EURO"),
            7,
            "links.default.currency",
            ["'EURO'", "ISO 4217", "Did you mean 'EUR'?"],
            id="unknown currency",
        ),
        pytest.param(
            SOUND.replace("EUR", "XXL"),
            7,
            "links.default.currency",
            ["'XXL'", "three capitals"],
            id="no hint",
        ),
        pytest.param(
            SOUND.replace("DE", "UK"), 6, "links.default.country", ["'UK'", "ISO 3166"], id="unknown country"
        ),
        pytest.param(
            SOUND.replace("DE", "NO"),
            6,
            "links.default.country",
            ["in quotes", "text"],
            id="Norway is false in YAML",
        ),
        pytest.param(
            SOUND.replace("[de, en]", "[de, english]"),
            2,
            "defaults.locales[1]",
            ["'english'"],
            id="bad locale",
        ),
        pytest.param(
            SOUND.replace("[de]", "[de, fr]"), 3, "defaults.required_locales", ["fr"], id="locale never read"
        ),
        pytest.param(
            SOUND.replace("[de, en]", "[]"), 2, "defaults.locales", ["at least 1 item"], id="no locale"
        ),
        pytest.param(
            SOUND.replace("    country: DE\n", ""),
            5,
            "links.default.country",
            ["is missing"],
            id="no country",
        ),
        pytest.param(
            SOUND + "    attributes:\n      metadata:\n        - {attribute: a, namespace: Foo}\n",
            10,
            "links.default.attributes.metadata[0].namespace",
            ["lower case", "'Foo'"],
            id="namespace in capitals",
        ),
        pytest.param(
            SOUND + "    attributes: {options: colour}\n",
            8,
            "links.default.attributes.options",
            ["'auto'", "list of attributes"],
            id="neither auto nor a list",
        ),
        pytest.param(
            SOUND + "    description_tags: [p, script]\n",
            8,
            "links.default.description_tags[1]",
            ["'script'"],
            id="tag that must never be shown",
        ),
        pytest.param(
            SOUND + "    page_size: 501\n", 8, "links.default.page_size", ["500"], id="page too large"
        ),
        pytest.param(
            SOUND + "    batches: {variants: 1.5}\n",
            8,
            "links.default.batches.variants",
            ["whole number", "1.5"],
            id="half a variant",
        ),
        pytest.param(
            SOUND + "    limits: {cloudshelf: {rate: fast}}\n",
            8,
            "links.default.limits.cloudshelf.rate",
            ["must be a number", "'fast'"],
            id="no number",
        ),
        pytest.param(
            SOUND + "    prices: 5\n", 8, "links.default.prices", ["section"], id="number for a section"
        ),
        pytest.param(
            "defaults: 5\nlinks: {a: {}}\n", 1, "defaults", ["section"], id="number for the defaults"
        ),
        pytest.param(SOUND + "  Zwei: {}\n", 8, "links.Zwei", ["'Zwei'"], id="link name in capitals"),
        pytest.param(SOUND + "    a: &x [*x]\n", 8, "links.default.a[0]", ["itself"], id="endless alias"),
        pytest.param(SOUND + "    <<: {a: 1}\n", 8, "links.default", ["plain text"], id="merge key"),
        pytest.param(SOUND + "    ? [a]\n    : 1\n", 8, "links.default", ["plain text"], id="list as key"),
        pytest.param(SOUND + "    data_root: 2026-99-01\n", 8, None, ["in quotes"], id="impossible date"),
    ],
)
def test_error_names_line_field_and_cure(
    tmp_path: Path, mapping: str, line: int, field: str | None, words: list[str]
) -> None:
    error = refusal(written(tmp_path, mapping))
    assert error.file.endswith("mapping.yaml")
    assert (error.line, error.field) == (line, field)
    assert error.cure
    for word in words:
        assert word in str(error)


def test_error_counts_the_others(tmp_path: Path) -> None:
    error = refusal(written(tmp_path, SOUND + "    concurrency: 0\n    page_size: 0\n"))
    assert error.field == "links.default.concurrency"
    assert "Also wrong in this file: links.default.page_size." in error.cure


def test_shared_values_are_reported_where_they_stand(tmp_path: Path) -> None:
    mapping = (
        SOUND.replace("links:", "  stock:\n    safety_stock: -1\nlinks:") + "    stock: {channels: all}\n"
    )
    error = refusal(written(tmp_path, mapping))
    assert (error.line, error.field) == (5, "defaults.stock.safety_stock")


def test_files_in_other_encodings(tmp_path: Path) -> None:
    (tmp_path / "mapping.yaml").write_bytes("defaults: {}\n# Währung\n".encode("latin-1"))
    error = refusal(tmp_path)
    assert error.line == 2
    assert "UTF-8" in str(error)
    (tmp_path / "mapping.yaml").write_bytes(b"\xef\xbb\xbf" + SOUND.encode())
    assert load_config(tmp_path).link("default").country == "DE"


def test_errors_in_the_locations_name_their_file(tmp_path: Path) -> None:
    error = refusal(written(tmp_path, locations="locations:\n  berlin:\n    contry: DE\n"))
    assert error.file.endswith("locations.yaml")
    assert (error.line, error.field) == (3, "locations.berlin.contry")
    assert "Did you mean 'country'?" in error.cure


def test_a_postal_code_that_yaml_takes_for_a_number(tmp_path: Path) -> None:
    error = refusal(written(tmp_path, locations="locations:\n  berlin: {zip: 10115}\n"))
    assert "must be text, not 10115" in error.problem
    assert "in quotes" in error.cure


def test_empty_locations_file_means_none(tmp_path: Path) -> None:
    assert load_config(written(tmp_path, locations="# nothing yet\n")).locations == {}


def test_configuration_cannot_be_changed_by_accident(shipped: Config) -> None:
    with pytest.raises(ValueError, match="frozen"):
        shipped.link("default").page_size = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("share", "count", "total", "held"),
    [
        (0.1, 10, 100, False),
        (0.1, 11, 100, True),
        (0.0, 1, 100, True),
        (0.1, 0, 0, False),
        (1.0, 5, 5, False),
    ],
)
def test_removal_guard(share: float, count: int, total: int, held: bool) -> None:
    assert RemovalGuard(max_share=share).holds(count, total) is held
