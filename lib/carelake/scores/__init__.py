"""Risk scores and the worklist."""
