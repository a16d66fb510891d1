"""The reference and the JSON Schemas say what the models say, and what the models accept is what schemas accept."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from cogent_ops.config import LinkSettings, json_schemas

ROOT = Path(__file__).parents[3]
jsonschema = pytest.importorskip("jsonschema")


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "scripts/generate_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("subject", ["configuration", "schemas"])
def test_files_on_disk_are_up_to_date(generator: ModuleType, subject: str) -> None:
    assert generator.main([subject, "--check"]) == 0, "run python scripts/generate_docs.py"


def test_check_notices_a_difference_and_writing_mends_it(
    generator: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generator, "ROOT", tmp_path)
    assert generator.main(["configuration", "--check"]) == 1
    assert "docs/configuration.md: out of date" in capsys.readouterr().out
    assert not (tmp_path / "docs").exists()
    assert generator.main(["configuration"]) == 0
    assert generator.main(["configuration", "--check"]) == 0
    (tmp_path / "docs/configuration.md").write_text("edited", encoding="utf-8")
    assert generator.main(["configuration", "--check"]) == 1


def test_reference_explains_every_field(generator: ModuleType) -> None:
    [text] = generator.configuration().values()
    for name, field in LinkSettings.model_fields.items():
        assert field.description
        assert f"| `{name}` |" in text


@pytest.mark.parametrize("file", ["include/mapping.yaml", "docs/examples/sunrise/mapping.yaml"])
def test_schema_accepts_the_shipped_mappings(file: str) -> None:
    schema = json_schemas()["mapping.yaml"]
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load((ROOT / file).read_text(encoding="utf-8")), schema)


@pytest.mark.parametrize(
    "wrong",
    [
        {"links": {"default": {"prices": {"chanel": "x"}}}},
        {"links": {"default": {"page_size": 501}}},
        {"links": {}},
        {"links": {"default": {}}, "defaults": {"when": 1}},
    ],
)
def test_schema_refuses_what_the_models_refuse(wrong: object) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, json_schemas()["mapping.yaml"])
