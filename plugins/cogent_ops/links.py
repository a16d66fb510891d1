"""Which links there are: all that a DAG file needs to know while it is parsed.

Kept apart from :mod:`cogent_ops.config` because Airflow parses DAG files every few seconds: this module costs a
few milliseconds of YAML, and nothing that is wrong in the mapping can take the DAGs off the page. The task that
runs reads the same file with full validation and says file, line, field and cure.
"""

from __future__ import annotations

import os
from pathlib import Path

import yaml

DEFAULT_LINK = "default"
MAPPING_FILE = "mapping.yaml"


def include_candidates() -> list[Path]:
    """Where the business's files may lie, the first existing one counts.

    ``COGENT_OPS_INCLUDE``; else ``include/`` beside ``plugins/`` or the package; else in ``AIRFLOW_HOME``; else in
    the working directory.
    """
    named = os.environ.get("COGENT_OPS_INCLUDE")
    if named:
        return [Path(named)]
    home = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()
    return [Path(__file__).parents[2] / "include", home / "include", Path.cwd() / "include"]


def include_folder() -> Path | None:
    """The folder with the business's files; ``None`` when there is none."""
    return next((folder for folder in include_candidates() if (folder / MAPPING_FILE).is_file()), None)


def link_names() -> tuple[str, ...]:
    """Names of the links in ``include/mapping.yaml``; ``("default",)`` when it cannot be read."""
    folder = include_folder()
    if folder is None:
        return (DEFAULT_LINK,)
    try:
        links = yaml.load((folder / MAPPING_FILE).read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)[
            "links"
        ]
        return tuple(str(name) for name in links) or (DEFAULT_LINK,)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
        return (DEFAULT_LINK,)
