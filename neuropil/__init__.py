"""neuropil."""
