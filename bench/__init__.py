"""How fast carelake is, as ratios to what the same Spark needs at the least for the same input (docs/architecture.md, speed)."""
