"""Brings the plugin to Airflow: the one file below ``plugins/`` that Airflow executes (see ``.airflowignore``)."""

from __future__ import annotations

from cogent_ops.plugin import CogentOpsPlugin

__all__ = ["CogentOpsPlugin"]
