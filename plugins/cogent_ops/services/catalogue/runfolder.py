"""The folder of one run: what its tasks hand to each other, on any object storage.

XCom carries only the run's key and counts. Files are JSON lines in numbered parts, written and read one part
at a time, so memory does not grow with the catalogue.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from upath import UPath

from cogent_ops.domain.text import writable


class RunFolder:
    """Read and write the parts of a run.

    :param root: data root, e.g. ``ObjectStoragePath("s3://bucket/cogent_ops")`` or a local ``UPath``.
    """

    def __init__(self, root: UPath, link: str, run_key: str) -> None:
        self.path = _runs(root, link) / run_key

    @classmethod
    def all(cls, root: UPath, link: str) -> Iterator[str]:
        """Keys of the runs of a link that have a folder."""
        runs = _runs(root, link)
        if runs.is_dir():
            yield from sorted(path.name for path in runs.iterdir())

    def remove(self) -> None:
        """Delete the folder with everything in it."""
        self.path.fs.rm(self.path.path, recursive=True)

    def stage(self, name: str) -> UPath:
        """The sub-folder of a stage (``extract``, ``gate``, ``report``), made when missing."""
        folder = self.path / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def clear(self, stage: str) -> UPath:
        """Empty a stage, so that a retried task never mixes its parts with those of the attempt before."""
        folder = self.stage(stage)
        for file in folder.glob("*.jsonl"):
            file.unlink()
        return folder

    def write_lines(self, stage: str, name: str, lines: Iterable[str]) -> None:
        """Write one JSON-lines file."""
        with (self.stage(stage) / name).open("w", encoding="utf-8") as file:
            file.writelines(writable(line) + "\n" for line in lines)

    def read_lines(self, stage: str, prefix: str) -> Iterator[str]:
        """Lines of all parts of a stage whose name starts with the prefix, in part order, one at a time."""
        parts = (path for path in self.stage(stage).glob("*.jsonl") if path.name.startswith(prefix))
        for part in sorted(parts, key=lambda path: path.name):
            with part.open("r", encoding="utf-8") as file:
                for line in file:
                    yield line.rstrip("\n")

    def write_json(self, name: str, payload: dict[str, Any]) -> None:
        """Write a small document at the run's top."""
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / name).open("w", encoding="utf-8") as file:
            file.write(writable(json.dumps(payload, ensure_ascii=False, indent=1, default=str)))

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a document written by :meth:`write_json`.

        :raises FileNotFoundError: when the stage before has not run.
        """
        with (self.path / name).open("r", encoding="utf-8") as file:
            document: dict[str, Any] = json.load(file)
        return document


def _runs(root: UPath, link: str) -> UPath:
    return root / "catalogue" / link


def part_name(prefix: str, number: int) -> str:
    """``part-00001.jsonl``: sorts as it counts."""
    return f"{prefix}-{number:05d}.jsonl"
