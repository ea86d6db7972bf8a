"""Measures: what was used, what it cost and how well it went, by published definitions."""
