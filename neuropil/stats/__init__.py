"""Score, nulls, intervals and noise ceilings (arrays only)."""
