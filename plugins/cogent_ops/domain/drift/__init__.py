"""Drift: what two systems say that should say the same, why they do not, and what would make it right."""
