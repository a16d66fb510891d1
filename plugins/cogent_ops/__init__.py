"""Keeps Cloudshelf kiosks and commercetools in step. See README.md."""

from __future__ import annotations

__version__ = "0.1.0"
