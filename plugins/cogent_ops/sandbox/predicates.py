"""commercetools query predicates: parse once, then test resources.

The grammar is the documented one (comparison, ``in``, ``contains``, ``is defined``, ``is empty``, ``and``, ``or``,
``not``, nested objects in parentheses, input variables as ``:name``). A field that the resource does not have is
refused as the API refuses it, because a typo that quietly matches nothing is the worst answer a test can get.

Arrays of objects match when any element matches, as in ``variants(sku = "A")``.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from cogent_ops.sandbox.answers import ApiError, malformed

Fields: TypeAlias = Mapping[str, Any]
"""What can be asked about: field name -> ``text``, ``number``, ``bool``, ``time``, ``any``, or nested fields.

The name ``*`` stands for any field name, as in localized strings and custom fields.
"""

Test: TypeAlias = Callable[[Any], bool]
Lookup: TypeAlias = Callable[[str, str, Sequence[Any]], "set[str] | None"]
"""Index access: (dotted path, operator, values) -> ids that may match, or ``None`` when there is no index."""

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<string>"(?:[^"\\]|\\.)*")
      | (?P<number>-?\d+(?:\.\d+)?)
      | (?P<variable>:[A-Za-z0-9_]+)
      | (?P<quoted>`[^`]+`)
      | (?P<word>[A-Za-z_][A-Za-z0-9_-]*)
      | (?P<symbol><=|>=|<>|!=|[=<>(),])
    )""",
    re.VERBOSE,
)
_DEEPEST = 100
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Token:
    """A word of a predicate and where it stands (1-based column)."""

    kind: str
    text: str
    column: int


@dataclass(frozen=True, slots=True)
class Variable:
    """A ``:name`` that is bound by the query parameter ``var.name``."""

    name: str


@dataclass(frozen=True, slots=True)
class Condition:
    """A field compared with values; ``operation`` is a comparison, ``in``, ``defined``, ``empty``, ``contains …``."""

    path: str
    field: str
    kind: str
    operation: str
    values: tuple[Any, ...] = ()
    negated: bool = False

    def test(self) -> Test:
        """Compile."""
        check = _CHECKS[self.operation if self.operation not in _COMPARISONS else "comparison"](self)
        name, negated = self.field, self.negated

        def run(resource: Any) -> bool:
            found = check(resource.get(name)) if isinstance(resource, Mapping) else False
            return found != negated

        return run

    def candidates(self, lookup: Lookup) -> set[str] | None:
        """Ids that an index allows."""
        return None if self.negated else lookup(self.path, self.operation, self.values)


@dataclass(frozen=True, slots=True)
class Nested:
    """A condition on an object or on any element of an array of objects."""

    field: str
    inner: Node

    def test(self) -> Test:
        """Compile."""
        name, inner = self.field, self.inner.test()

        def run(resource: Any) -> bool:
            value = resource.get(name) if isinstance(resource, Mapping) else None
            if isinstance(value, list):
                return any(inner(element) for element in value)
            return value is not None and inner(value)

        return run

    def candidates(self, lookup: Lookup) -> set[str] | None:
        """Ids that an index allows."""
        return self.inner.candidates(lookup)


@dataclass(frozen=True, slots=True)
class Junction:
    """``and`` / ``or`` over parts."""

    word: str
    parts: tuple[Node, ...]

    def test(self) -> Test:
        """Compile."""
        tests = tuple(part.test() for part in self.parts)
        if self.word == "and":
            return lambda resource: all(test(resource) for test in tests)
        return lambda resource: any(test(resource) for test in tests)

    def candidates(self, lookup: Lookup) -> set[str] | None:
        """Ids that an index allows: the smallest part decides an ``and``; an ``or`` needs an index everywhere."""
        found = [part.candidates(lookup) for part in self.parts]
        known = [ids for ids in found if ids is not None]
        if self.word == "and":
            return min(known, key=len) if known else None
        return set().union(*known) if len(known) == len(found) else None


@dataclass(frozen=True, slots=True)
class Negation:
    """``not(…)``."""

    inner: Node

    def test(self) -> Test:
        """Compile."""
        inner = self.inner.test()
        return lambda resource: not inner(resource)

    def candidates(self, lookup: Lookup) -> set[str] | None:
        """A negation never narrows a search."""
        return None


Node: TypeAlias = Condition | Nested | Junction | Negation


class Predicate:
    """A parsed ``where`` parameter.

    :param text: the predicate as sent.
    :param fields: what the resource has.
    :param variables: values of the ``var.*`` parameters, as sent.
    :raises ApiError: 400 ``InvalidInput`` for a syntax error, an unknown field or an unbound variable.
    """

    def __init__(
        self, text: str, fields: Fields, variables: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self.node = _Parser(text, variables or {}).parse(fields)
        self.matches = self.node.test()

    def candidates(self, lookup: Lookup) -> set[str] | None:
        """Ids that may match according to indexes, or ``None`` when every resource must be looked at."""
        return self.node.candidates(lookup)

    def id_above(self) -> str | None:
        """The value of a top-level ``id > "…"``, which keyset paging sends."""
        parts = (
            self.node.parts if isinstance(self.node, Junction) and self.node.word == "and" else (self.node,)
        )
        bounds = [
            part.values[0]
            for part in parts
            if isinstance(part, Condition)
            and part.path == "id"
            and part.operation == ">"
            and not part.negated
        ]
        return max(bounds, default=None)


class _Parser:
    """Recursive descent over the tokens of one predicate."""

    def __init__(self, text: str, variables: Mapping[str, Sequence[str]]) -> None:
        self._tokens = list(_tokens(text))
        self._variables = variables
        self._at = 0
        self._depth = 0

    def parse(self, fields: Fields) -> Node:
        node = self._either(fields, "")
        if self._peek().kind != "end":
            raise self._unexpected("end of input")
        return node

    def _either(self, fields: Fields, path: str) -> Node:
        parts = [self._both(fields, path)]
        while self._take_word("or"):
            parts.append(self._both(fields, path))
        return parts[0] if len(parts) == 1 else Junction("or", tuple(parts))

    def _both(self, fields: Fields, path: str) -> Node:
        parts = [self._single(fields, path)]
        while self._take_word("and"):
            parts.append(self._single(fields, path))
        return parts[0] if len(parts) == 1 else Junction("and", tuple(parts))

    def _single(self, fields: Fields, path: str) -> Node:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise malformed("where", "The predicate is nested too deeply.")
        try:
            return self._one_condition(fields, path)
        finally:
            self._depth -= 1

    def _one_condition(self, fields: Fields, path: str) -> Node:
        if self._take_word("not"):
            return Negation(self._single(fields, path))
        if self._take("("):
            node = self._either(fields, path)
            self._expect(")")
            return node
        return self._about_field(fields, path)

    def _about_field(self, fields: Fields, path: str) -> Node:
        token = self._next()
        if token.kind not in ("word", "quoted"):
            raise self._unexpected("a field name", token)
        name = token.text
        kind = fields.get(name, fields.get("*"))
        if kind is None:
            raise malformed("where", f"The field '{name}' does not exist.")
        full = f"{path}{name}"
        if self._take("("):
            node = self._either(_inner(kind, full), f"{full}.")
            self._expect(")")
            return Nested(name, node)
        return self._condition(full, name, kind if isinstance(kind, str) else "object")

    def _condition(self, path: str, name: str, kind: str) -> Condition:
        negated = self._take_word("not")
        if self._take_word("in"):
            return Condition(path, name, kind, "in", self._values(kind), negated)
        if self._take_word("contains"):
            how = "all" if self._take_word("all") else self._expect_word("any")
            return Condition(path, name, kind, f"contains {how}", self._values(kind), negated)
        if self._take_word("is"):
            negated = self._take_word("not")
            what = "defined" if self._take_word("defined") else self._expect_word("empty")
            return Condition(path, name, kind, what, (), negated)
        token = self._next()
        if token.text not in _COMPARISONS:
            raise self._unexpected("a comparison operator", token)
        if kind == "object":
            raise malformed(
                "where", f"The field '{name}' is an object; use parentheses to ask about its fields."
            )
        return Condition(path, name, kind, token.text, (self._value(kind),))

    def _values(self, kind: str) -> tuple[Any, ...]:
        token = self._peek()
        if token.kind == "variable":
            self._next()
            return tuple(_typed(value, kind) for value in self._bound(token.text))
        self._expect("(")
        values = [self._value(kind)]
        while self._take(","):
            values.append(self._value(kind))
        self._expect(")")
        return tuple(values)

    def _value(self, kind: str) -> Any:
        token = self._next()
        if token.kind == "variable":
            bound = self._bound(token.text)
            if len(bound) != 1:
                raise malformed("where", f"Variable '{token.text}' must have exactly one value here.")
            return _typed(bound[0], kind)
        if token.kind == "string":
            return _typed(_unescape(token.text), kind)
        if token.kind == "number":
            return _number(token.text)
        if token.kind == "word" and token.text in ("true", "false"):
            return token.text == "true"
        raise self._unexpected("a value", token)

    def _bound(self, name: str) -> Sequence[str]:
        values = self._variables.get(name[1:])
        if not values:
            raise malformed("where", f"The variable '{name}' is not bound by a 'var.{name[1:]}' parameter.")
        return values

    def _peek(self) -> Token:
        return self._tokens[self._at]

    def _next(self) -> Token:
        token = self._tokens[self._at]
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _take(self, symbol: str) -> bool:
        token = self._peek()
        if token.kind == "symbol" and token.text == symbol:
            self._next()
            return True
        return False

    def _take_word(self, word: str) -> bool:
        token = self._peek()
        if token.kind == "word" and token.text == word:
            self._next()
            return True
        return False

    def _expect(self, symbol: str) -> None:
        if not self._take(symbol):
            raise self._unexpected(f"'{symbol}'")

    def _expect_word(self, word: str) -> str:
        if not self._take_word(word):
            raise self._unexpected(f"'{word}'")
        return word

    def _unexpected(self, expected: str, token: Token | None = None) -> ApiError:
        found = token or self._peek()
        what = "end of input" if found.kind == "end" else f"input '{found.text}'"
        text = f"Syntax error while parsing 'where'. Unexpected {what}, expected {expected}"
        return malformed("where", f"{text} (line 1, column {found.column}).")


def _tokens(text: str) -> Iterator[Token]:
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise malformed(
                "where",
                f"Syntax error while parsing 'where'. Unexpected input '{text[at : at + 10].strip()}'"
                f" (line 1, column {at + 1}).",
            )
        kind, found = match.lastgroup, match[match.lastgroup]
        yield Token(kind, found.strip("`") if kind == "quoted" else found, match.start(kind) + 1)
        at = match.end()
    yield Token("end", "", end + 1)


def _inner(kind: Any, path: str) -> Fields:
    if isinstance(kind, Mapping):
        return kind
    if kind == "any":
        return {"*": "any"}
    raise malformed("where", f"The field '{path}' has no fields of its own.")


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1])


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text)


def _typed(value: str, kind: str) -> Any:
    """A value that was sent as text, as the field's own type (variables have no quotes to tell by)."""
    try:
        match kind:
            case "number":
                return _number(value)
            case "time":
                return moment(value)
            case "bool":
                return {"true": True, "false": False}[value]
    except (ValueError, KeyError) as error:
        raise malformed("where", f"The value '{value}' is not a valid {kind}.") from error
    return value


def moment(text: str) -> datetime:
    """Parse a timestamp; one without an offset counts as UTC.

    :raises ValueError: when the text is no timestamp.
    """
    parsed = datetime.fromisoformat(text)
    return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)


def _comparison(condition: Condition) -> Test:
    compare, wanted = _COMPARISONS[condition.operation], condition.values[0]
    if condition.kind == "time":
        return lambda value: value is not None and compare(moment(value), wanted)
    if condition.operation in ("=", "<>", "!="):
        return lambda value: _any_equal(value, wanted) == (condition.operation == "=") and value is not None
    return lambda value: value is not None and _comparable(value, wanted) and compare(value, wanted)


def _any_equal(value: Any, wanted: Any) -> bool:
    if isinstance(value, list):
        return any(element == wanted for element in value)
    return bool(value == wanted) and isinstance(value, bool) == isinstance(wanted, bool)


def _comparable(value: Any, wanted: Any) -> bool:
    return isinstance(value, str) == isinstance(wanted, str) and not isinstance(value, list | dict)


def _contained(condition: Condition) -> Test:
    if condition.kind == "time":
        moments = set(condition.values)
        return lambda value: value is not None and moment(value) in moments
    wanted = set(condition.values)
    return lambda value: isinstance(value, str | int | float) and value in wanted


def _contains_all(condition: Condition) -> Test:
    wanted = set(condition.values)
    return lambda value: isinstance(value, list) and wanted <= set(value)


def _contains_any(condition: Condition) -> Test:
    wanted = set(condition.values)
    return lambda value: isinstance(value, list) and not wanted.isdisjoint(value)


def _defined(condition: Condition) -> Test:
    return lambda value: value is not None


def _empty(condition: Condition) -> Test:
    return lambda value: not value


_CHECKS: dict[str, Callable[[Condition], Test]] = {
    "comparison": _comparison,
    "in": _contained,
    "contains all": _contains_all,
    "contains any": _contains_any,
    "defined": _defined,
    "empty": _empty,
}


def parse_all(
    texts: Iterable[str], fields: Fields, variables: Mapping[str, Sequence[str]]
) -> list[Predicate]:
    """Parse several ``where`` parameters; a resource must match every one of them."""
    return [Predicate(text, fields, variables) for text in texts]
