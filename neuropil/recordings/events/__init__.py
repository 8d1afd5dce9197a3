"""Event sensors: cameras (x, y, polarity, time) and cochleas (channel, time).

`read_events(path)` gives `Events`, `stream_events(path)` the same in blocks and time slices where a file
is larger than memory, `open_trials(path)` the labelled trials of SHD and SSC.
"""

from .events import Events, from_dense
from .speech import SpikeTrials, open_trials
from .stream import FORMATS, EventStream, read_events, stream_events

__all__ = [
    "FORMATS",
    "EventStream",
    "Events",
    "SpikeTrials",
    "from_dense",
    "open_trials",
    "read_events",
    "stream_events",
]
