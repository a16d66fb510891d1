"""The monthly report: how a link was run, and what to do next."""
