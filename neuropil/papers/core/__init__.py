"""Papers about the core: calculi and frameworks of dynamical systems."""
