"""Tasks, streams, stimuli, simulators and data sets with checksums."""
