"""The rules at work: suites, validation definitions, checkpoints and Data Docs of Great Expectations.

Great Expectations takes about 8 ms an expectation and validation however few rows there are, and under 0.1 µs a
row and expectation on numbers, flags and categories; so rows come in large chunks and with few text columns. It is
imported when the first gate is made, because that takes seconds.
"""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from upath import UPath

from cogent_ops.domain.text import did_you_mean, visible
from cogent_ops.quality.schema import REFERENCE, SAMPLE, Level, Row, Rule, Schema

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.core.expectation_validation_result import (
        ExpectationSuiteValidationResult,
        ExpectationValidationResult,
    )
    from great_expectations.data_context.data_context.abstract_data_context import AbstractDataContext
    from great_expectations.data_context.types.resource_identifiers import ValidationResultIdentifier
    from great_expectations.expectations.expectation import Expectation

#: Offending records that Data Docs show for each rule.
SAMPLES = 20
#: Name of the Data Docs' folder, beside the report.
DATA_DOCS = "data_docs"

_RESULT_FORMAT = {"result_format": "COMPLETE", "return_unexpected_index_query": False}
_COUNTED = ("element_count", "missing_count", "unexpected_count")
#: A column has few different values when its beginning has at most this many, and the whole at most ten times it.
_FEW, _BEGINNING = 50, 1000

#: Expectations whose verdict on a row depends on other rows: a chunk is not the catalogue.
_NOT_ROW_BY_ROW = frozenset(
    (
        "expect_column_values_to_be_unique",
        "expect_compound_columns_to_be_unique",
        "expect_column_values_to_be_increasing",
        "expect_column_values_to_be_decreasing",
        "expect_column_value_z_scores_to_be_less_than",
        "expect_column_values_to_not_be_outliers",
    )
)


class Validation:
    """The rules of one level as a checkpoint.

    :param link: the run's name in Data Docs.
    :raises ConfigError: when Great Expectations does not take a rule, or cannot apply it.
    """

    def __init__(self, context: AbstractDataContext, schema: Schema, level: Level, link: str) -> None:
        import great_expectations as gx

        self.level = level
        self._context, self._schema, self._link = context, schema, link
        rules = schema.at(level)
        self._columns = sorted(frozenset[str]().union(*(rule.reads for rule in rules)))
        self._alone = _judged_alone(rules)
        name = f"{schema.name}_{level}s"
        suite = context.suites.add(
            gx.ExpectationSuite(name, expectations=[_expectation(schema, rule) for rule in rules])
        )
        self._rules = {str(item.id): rule for item, rule in zip(suite.expectations, rules, strict=True)}
        asset = context.data_sources.add_pandas(name).add_dataframe_asset(f"{level}s")
        batch = asset.add_batch_definition_whole_dataframe("chunk")
        definition = context.validation_definitions.add(
            gx.ValidationDefinition(name=name, data=batch, suite=suite)
        )
        self._checkpoint = context.checkpoints.add(
            gx.Checkpoint(name=name, validation_definitions=[definition], result_format=_RESULT_FORMAT)
        )
        self._total: _Total | None = None
        # One imaginary record: a rule that cannot be applied is known before any work is done.
        self._validate(self._frame({column: [SAMPLE[column]] for column in self._columns}))

    def broken(
        self, columns: Mapping[str, Sequence[Any]], row: Callable[[int], Row]
    ) -> list[tuple[Rule, list[int]]]:
        """Each rule that is broken, with the rows that break it.

        :param columns: the values of each column, in the order of the rows.
        :param row: gives a whole row, to show some offending records in Data Docs.
        :raises ConfigError: when a rule cannot be applied to these values.
        """
        key, result = self._validate(self._frame(columns))
        if self._total is None:
            self._total = _Total(key, result)
        outcomes = []
        for item in result.results:
            rule, rows = self._rules[_id(item)], item.result["unexpected_index_list"]
            self._total.add(item, (_sample(rule, row(place)) for place in rows))
            if rows:
                outcomes.append((rule, rows))
        return outcomes

    def publish(self) -> bool:
        """Put the sum of all chunks where Data Docs look for it; false when there was none."""
        if self._total is None:
            return False
        self._context.validation_results_store.set(*self._total.result())
        return True

    def _frame(self, columns: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(
            {name: _array(name, columns[name], alone=name in self._alone) for name in self._columns},
            copy=False,
        )

    def _validate(
        self, frame: pd.DataFrame
    ) -> tuple[ValidationResultIdentifier, ExpectationSuiteValidationResult]:
        from great_expectations.core.run_identifier import RunIdentifier

        outcome = self._checkpoint.run(
            batch_parameters={"dataframe": frame}, run_id=RunIdentifier(run_name=self._link)
        )
        ((key, result),) = outcome.run_results.items()
        # The store would keep the failures of every chunk in memory; the sum of all takes their place.
        store: Any = self._context.validation_results_store
        store.remove_key(key)
        for item in result.results:
            problem = _raised(item.exception_info or {})
            if problem is not None:
                raise self._schema.error(
                    self._rules[_id(item)],
                    f"Great Expectations cannot judge: {problem}",
                    f"Check that type and kwargs fit the column. {REFERENCE}.",
                )
        return key, result


class _Total:
    """One validation result for all chunks: Data Docs show the run, not the chunks it was cut into.

    :param result: the first chunk's, to be filled with the sums.
    """

    def __init__(self, key: ValidationResultIdentifier, result: ExpectationSuiteValidationResult) -> None:
        self._key, self._result = key, result
        self._counts: dict[str, Counter[str]] = {}
        self._samples: dict[str, list[dict[str, str]]] = {}

    def add(self, item: ExpectationValidationResult, samples: Iterable[dict[str, str]]) -> None:
        """Add one expectation's result of one chunk.

        :param samples: the offending records; only as many as Data Docs show are looked at.
        """
        counts = self._counts.setdefault(_id(item), Counter())
        counts.update({key: item.result[key] for key in _COUNTED if key in item.result})
        kept = self._samples.setdefault(_id(item), [])
        kept.extend(islice(samples, SAMPLES - len(kept)))
        item.result = {}

    def result(self) -> tuple[ValidationResultIdentifier, ExpectationSuiteValidationResult]:
        """The sum, with the key under which Great Expectations keeps it."""
        from great_expectations.validator.validation_statistics import calc_validation_statistics

        for item in self._result.results:
            counts, samples = self._counts[_id(item)], self._samples[_id(item)]
            item.result = _summary(counts, samples)
            item.success = not counts["unexpected_count"]
        statistics = calc_validation_statistics(self._result.results)._asdict()
        self._result.success = statistics.pop("success")
        self._result.statistics = statistics
        return self._key, self._result


def quiet_context() -> AbstractDataContext:
    """A context that keeps nothing on disk, reports nothing to anybody and leaves the task's log readable."""
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(),
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False),
    )
    return gx.get_context(mode="ephemeral", project_config=config)


def data_docs(context: AbstractDataContext, folder: UPath) -> None:
    """Write Data Docs of what was published as a static site below ``folder``, on any storage."""
    with tempfile.TemporaryDirectory(prefix="cogent-ops-data-docs-") as local:
        site: Any = {
            "class_name": "SiteBuilder",
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            "show_how_to_buttons": False,
            "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": local},
        }
        context.add_data_docs_site(DATA_DOCS, site)
        context.build_data_docs()
        context.delete_data_docs_site(DATA_DOCS)
        # Of the other files, three megabytes, the pages use none.
        for page in Path(local).rglob("*.html"):
            target = folder.joinpath(DATA_DOCS, *page.relative_to(local).parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(_restyled(page.read_text(encoding="utf-8")), encoding="utf-8")


def _restyled(page: str) -> str:
    """A page that stays readable where its style sheets on other servers are out of reach, as in Airflow's UI."""
    own = Path(__file__).with_name("data_docs.css").read_text(encoding="utf-8")
    return page.replace("</head>", f"<style>\n{own}</style>\n</head>", 1)


def _expectation(schema: Schema, rule: Rule) -> Expectation:
    """The expectation of a rule.

    :raises ConfigError: when Great Expectations does not take it, or it cannot tell which records miss it.
    """
    from great_expectations.exceptions.exceptions import ExpectationNotFoundError
    from great_expectations.expectations import expectation as kinds
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from great_expectations.expectations.metadata_types import FailureSeverity
    from great_expectations.expectations.registry import list_registered_expectation_implementations

    entry = rule.entry
    try:
        made = ExpectationConfiguration(
            type=entry.type,
            kwargs=dict(entry.kwargs),
            description=entry.description,
            notes=entry.notes or f"{entry.meta.owner}: {entry.meta.cure} ({entry.meta.mend})",
            severity=FailureSeverity(entry.severity),
        ).to_domain_obj()
    except ExpectationNotFoundError:
        hint = did_you_mean(entry.type, list_registered_expectation_implementations())
        cure = f"{hint}Take one of Great Expectations' own column expectations."
        raise schema.error(rule, "Great Expectations does not know this expectation", cure, "type") from None
    except (TypeError, ValueError) as error:
        cure = "Correct them; the documentation of Great Expectations lists them for each expectation."
        raise schema.error(rule, f"the arguments do not fit: {_reasons(error)}", cure, "kwargs") from None
    row_by_row = (
        kinds.ColumnMapExpectation,
        kinds.ColumnPairMapExpectation,
        kinds.MulticolumnMapExpectation,
    )
    if not isinstance(made, row_by_row) or entry.type in _NOT_ROW_BY_ROW:
        cure = "Take one about single values; what takes the whole catalogue to know is a column, such as sku_count."
        raise schema.error(rule, "the expectation does not judge row by row", cure, "type")
    return made


def _reasons(error: Exception) -> str:
    """What is wrong with arguments: of several reasons for one argument the first."""
    reasons: dict[str, str] = {}
    for detail in error.errors() if hasattr(error, "errors") else ():
        reasons.setdefault(".".join(map(str, detail["loc"])), str(detail["msg"]))
    return "; ".join(f"{place}: {reason}" for place, reason in reasons.items()) or str(error)


def _raised(info: Mapping[str, Any]) -> str | None:
    """The message of an exception amid the judging; Great Expectations has one an expectation or one a metric."""
    for detail in (info,) if "raised_exception" in info else info.values():
        if detail["raised_exception"]:
            return str(detail["exception_message"]).strip()
    return None


def _id(item: ExpectationValidationResult) -> str:
    return str(item.expectation_config.id) if item.expectation_config is not None else ""


def _judged_alone(rules: Iterable[Rule]) -> frozenset[str]:
    """Columns that no rule compares with another column; only such may become categories."""
    alone: set[str] = set()
    together: set[str] = set()
    for rule in rules:
        (alone if len(rule.reads) == 1 else together).update(rule.reads)
    return frozenset(alone - together)


def _array(name: str, values: Sequence[Any], *, alone: bool) -> Any:
    """A column in the form that costs Great Expectations least."""
    import numpy as np

    kind = type(SAMPLE[name])
    if kind is not str and (kind is float or None not in values):
        return np.array(values, dtype=kind)
    return _categories(values) if alone else values


def _categories(values: Sequence[Any]) -> Any:
    """Values as categories when only a few are different: pandas compares and copies those much faster."""
    import numpy as np
    import pandas as pd

    if len(set(values[:_BEGINNING])) > _FEW or len(distinct := set(values)) > 10 * _FEW:
        return values
    categories = pd.Index([value for value in distinct if value is not None])
    codes = {value: code for code, value in enumerate(categories)} | {None: -1}
    numbers = np.fromiter(map(codes.__getitem__, values), dtype=np.int16, count=len(values))
    return pd.Categorical.from_codes(numbers, categories=categories)


def _sample(rule: Rule, row: Row) -> dict[str, str]:
    """An offending record as Data Docs show it."""
    shown = {"value": rule.value(row) or "empty", "product": row["product_key"] or row["product_id"]}
    if rule.level is Level.VARIANT:
        shown["SKU"] = row["sku"] or f"variant {row['variant_id']}"
    return {name: visible(text) for name, text in shown.items()}


def _summary(counts: Counter[str], samples: Sequence[dict[str, str]]) -> dict[str, Any]:
    """An expectation's result as Data Docs read it: sums, and some offending records by their names."""
    judged = counts["element_count"] - counts["missing_count"]
    values = Counter(sample["value"] for sample in samples)
    return {
        **counts,
        "unexpected_percent": 100 * counts["unexpected_count"] / judged if judged else 0.0,
        "partial_unexpected_list": list(values),
        "partial_unexpected_counts": [{"value": value, "count": count} for value, count in values.items()],
        "unexpected_index_list": list(samples),
        "unexpected_index_column_names": [name for name in samples[0] if name != "value"] if samples else [],
    }
