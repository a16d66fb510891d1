"""YAML that people edit: read with the line of every value, so that an error can say where it is."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from cogent_ops.domain.text import did_you_mean
from cogent_ops.errors import ConfigError

Loc = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)

REFERENCE = "See docs/configuration.md"

_EXPECTED = {
    **dict.fromkeys(
        ("model_type", "model_attributes_type", "dict_type"), "must be a section of name: value lines"
    ),
    **dict.fromkeys(("tuple_type", "list_type"), "must be a list, such as [a, b]"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "must be a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "must be a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "must be true or false"),
    "string_type": "must be text",
}


class YamlFile:
    """One file, parsed.

    :param path: an existing file.
    :raises ConfigError: when it cannot be read, is no YAML, has a key twice, or is no mapping at the top.
    """

    def __init__(self, path: Path) -> None:
        self.name = _shown(path)
        self._lines: dict[Loc, int] = {(): 1}
        self.data: dict[Any, Any] = self._mapping(self._root(_text(path, self.name)))

    def line(self, loc: Loc) -> int:
        """1-based line of a value, or of the nearest value around it that stands in the file."""
        while loc not in self._lines:
            loc = loc[:-1]
        return self._lines[loc]

    def has(self, loc: Loc) -> bool:
        """Whether the file itself holds a value at this place."""
        return loc in self._lines

    def error(self, loc: Loc, problem: str, cure: str) -> ConfigError:
        """An error about the value at ``loc``."""
        return ConfigError(self.name, problem, cure, line=self.line(loc), field=dotted(loc) or None)

    def validate(self, model: type[Model], data: Any, loc: Loc = (), *, also: tuple[Loc, ...] = ()) -> Model:
        """Make ``model`` of ``data``, which stands at ``loc``.

        :param also: other places of the file whose values were merged into ``data``.
        :raises ConfigError: about the first thing that is wrong, in the order of the file; it counts the others.
        """
        try:
            return model.model_validate(data)
        except ValidationError as error:
            found = [self._place(issue, (loc, *also)) for issue in _issues(error, model, data)]
        found.sort(key=lambda item: self.line(item[0]))
        place, issue = found[0]
        others = sorted({dotted(other) for other, _ in found} - {dotted(place)})
        more = f" Also wrong in this file: {', '.join(others)}." if others else ""
        raise self.error(place, issue.problem, issue.cure + more)

    def _place(self, issue: _Issue, bases: tuple[Loc, ...]) -> tuple[Loc, _Issue]:
        """Where in the file an issue is: the first base that holds the value, else the nearest around it."""
        for length in range(len(issue.loc), 0, -1):
            for base in bases:
                if self.has(base + issue.loc[:length]):
                    return base + issue.loc, issue
        return bases[0] + issue.loc, issue

    def _root(self, text: str) -> yaml.Node | None:
        try:
            return yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = None if mark is None else mark.line + 1
            problem = " ".join(filter(None, (error.context, error.problem)))
            cure = "Check indentation, quotes and colons at and above this line"
            raise ConfigError(self.name, f"not readable as YAML: {problem}", cure + ".", line=line) from None
        except yaml.YAMLError as error:
            raise ConfigError(
                self.name, f"not readable as YAML: {error}", "Save it as plain UTF-8 text."
            ) from None

    def _mapping(self, root: yaml.Node | None) -> dict[Any, Any]:
        value = None if root is None else self._value(root, (), ())
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise ConfigError(self.name, "the file holds no mapping", f"{REFERENCE}.", line=1)
        return value

    def _value(self, node: yaml.Node, loc: Loc, above: tuple[yaml.Node, ...]) -> Any:
        if node in above:
            raise self.error(loc, "refers to itself by an alias", "Write the value out.")
        self._lines.setdefault(loc, node.start_mark.line + 1)
        inside = (*above, node)
        if isinstance(node, yaml.MappingNode):
            return {key: self._value(value, (*loc, key), inside) for key, value in self._pairs(node, loc)}
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*loc, place), inside) for place, item in enumerate(node.value)]
        return self._scalar(node, loc)

    def _pairs(self, node: yaml.MappingNode, loc: Loc) -> Iterator[tuple[Any, yaml.Node]]:
        seen: set[Hashable] = set()
        for key_node, value_node in node.value:
            key = self._scalar(key_node, loc)
            self._lines[*loc, key] = key_node.start_mark.line + 1
            if key in seen:
                raise self.error((*loc, key), "stands here a second time", "Keep one of the two.")
            seen.add(key)
            yield key, value_node

    def _scalar(self, node: yaml.Node, loc: Loc) -> Any:
        line = node.start_mark.line + 1
        if not isinstance(node, yaml.ScalarNode) or node.tag == "tag:yaml.org,2002:merge":
            raise ConfigError(
                self.name, "a key must be plain text", f"{REFERENCE}.", line=line, field=dotted(loc) or None
            )
        constructor = yaml.constructor.SafeConstructor()
        try:
            return constructor.construct_object(node, deep=True)
        except (yaml.YAMLError, ValueError) as error:
            raise ConfigError(
                self.name, f"'{node.value}' cannot be read ({error})", "Write it in quotes.", line=line
            ) from None


class _Issue(NamedTuple):
    """One thing that is wrong, in words.

    :param loc: place below the validated data.
    """

    loc: Loc
    problem: str
    cure: str


def dotted(loc: Loc) -> str:
    """``prices.channel``, ``attributes.metadata[0].key``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return text.removeprefix(".")


def _issues(error: ValidationError, model: type[BaseModel], data: Any) -> list[_Issue]:
    """One issue a place: the branches of a union each complain about the same value."""
    issues: dict[Loc, _Issue] = {}
    for detail in error.errors(include_url=False):
        loc = _existing(detail, data)
        issues.setdefault(loc, _issue(loc, detail, model))
    return [issue for loc, issue in issues.items() if not any(_is_inside(other, loc) for other in issues)]


def _is_inside(loc: Loc, other: Loc) -> bool:
    return len(loc) > len(other) and loc[: len(other)] == other


def _existing(detail: ErrorDetails, data: Any) -> Loc:
    """The error's place without the names that pydantic adds for branches of a union."""
    path = list(detail["loc"])
    absent = [path.pop()] if detail["type"] in ("missing", "extra_forbidden") else []
    loc: list[str | int] = []
    for part in path:
        inside: Any = dict(enumerate(data)) if isinstance(data, list) else data
        if isinstance(inside, dict) and part in inside:
            loc.append(part)
            data = inside[part]
    return (*loc, *absent)


def _issue(loc: Loc, detail: ErrorDetails, model: type[BaseModel]) -> _Issue:
    owner, described = _described(model, loc)
    meaning = f"Expected here: {described}" if described else f"{REFERENCE}."
    if detail["type"] == "extra_forbidden":
        known = sorted(owner.model_fields)
        hint = did_you_mean(str(loc[-1]), known)
        return _Issue(loc, "is not known here", f"{hint}Known are: {', '.join(known)}.")
    if detail["type"] == "missing":
        return _Issue(loc, "is missing", f"Add it. {meaning}")
    if detail["type"] == "value_error":
        return _Issue(loc, str(detail["ctx"]["error"]), meaning)
    problem = f"{_EXPECTED.get(detail['type'], detail['msg'])}, not {_short(detail['input'])}"
    if detail["type"] == "string_type" and not isinstance(detail["input"], (dict, list)):
        return _Issue(
            loc, problem, f"YAML takes this for another kind of value: write it in quotes. {meaning}"
        )
    return _Issue(loc, problem, meaning)


def _described(model: type[BaseModel], loc: Loc) -> tuple[type[BaseModel], str | None]:
    """The innermost model on the way to ``loc``, and what the innermost field on that way means."""
    owner, described = model, model.__doc__
    for place, part in enumerate(loc):
        if isinstance(part, str) and part in owner.model_fields:
            field = owner.model_fields[part]
            described = field.description
            inner = model_in(field.annotation)
            if inner is not None and place < len(loc) - 1:
                owner = inner
    return owner, described


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The first pydantic model inside an annotation: ``dict[str, Link]`` holds ``Link``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(model_in, get_args(annotation))), None)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _shown(path: Path) -> str:
    """The path from the working directory where it lies below it, else in full."""
    try:
        return str(path.resolve().relative_to(Path.cwd().resolve()))
    except ValueError:
        return str(path)


def _text(path: Path, name: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(name, f"cannot be read: {error.strerror}", "Check path and permissions.") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(name, "is not UTF-8 text", "Save it with the encoding UTF-8.", line=line) from None
