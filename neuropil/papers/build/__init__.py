"""Systems built from cells, wiring, memories and plasticity, one page a paper."""
