"""Product master schema: the gate (Great Expectations) and the reports that people read."""

from cogent_ops.quality.findings import Finding, Severity
from cogent_ops.quality.gate import CHUNK, Chunk, Gate, SkuFacts, Verdict, Verdicts, write_data_docs
from cogent_ops.quality.reports import RunSummary, write_reports

__all__ = [
    "CHUNK",
    "Chunk",
    "Finding",
    "Gate",
    "RunSummary",
    "Severity",
    "SkuFacts",
    "Verdict",
    "Verdicts",
    "write_data_docs",
    "write_reports",
]
