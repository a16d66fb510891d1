"""The nightly comparison: snapshot, compare, report, ask, heal."""
