"""Sync health: what is counted, measured and asked outside, and who is told."""
