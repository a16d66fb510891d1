"""Product master schema: the gate (Great Expectations) and the reports that people read."""

from cogent_ops.quality.findings import Finding, Severity
from cogent_ops.quality.gate import CHUNK, Chunk, Gate, SkuFacts, Verdict, Verdicts, write_data_docs
from cogent_ops.quality.reports import RunSummary, write_reports
from cogent_ops.quality.schema import Level

__all__ = [
    "CHUNK",
    "Chunk",
    "Finding",
    "Gate",
    "Level",
    "RunSummary",
    "Severity",
    "SkuFacts",
    "Verdict",
    "Verdicts",
    "write_data_docs",
    "write_reports",
]
