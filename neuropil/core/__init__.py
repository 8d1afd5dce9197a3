"""The core: systems, the one loop over time, and the ways systems are put together."""

from neuropil.core.check import ProbeError, first_nonfinite, probe
from neuropil.core.compose import Chain, Feedback, Lift, Parallel, Residual, lift
from neuropil.core.copies import Batched, Every, Trial, Vmapped
from neuropil.core.drive import Drive, To
from neuropil.core.flow import (
    RK4,
    AccuracyWarning,
    Diffrax,
    Euler,
    ExponentialEuler,
    ExponentialMidpoint,
    Flow,
    Implicit,
    Integrated,
    Method,
    check_dt,
)
from neuropil.core.manage import Cols, Event, Managed, ManagedState, Rows, parameters, walk
from neuropil.core.network import Network, NetworkState
from neuropil.core.param import Part, check_bounds, constrain, param, param_table, unconstrain
from neuropil.core.path import get, get_arrays, put, put_arrays
from neuropil.core.random import fold, named_keys
from neuropil.core.system import SEEDS, Carry, System, Tick, advance, run, start

__all__ = [
    "RK4",
    "SEEDS",
    "AccuracyWarning",
    "Batched",
    "Carry",
    "Chain",
    "Cols",
    "Diffrax",
    "Drive",
    "Euler",
    "Event",
    "Every",
    "ExponentialEuler",
    "ExponentialMidpoint",
    "Feedback",
    "Flow",
    "Implicit",
    "Integrated",
    "Lift",
    "Managed",
    "ManagedState",
    "Method",
    "Network",
    "NetworkState",
    "Parallel",
    "Part",
    "ProbeError",
    "Residual",
    "Rows",
    "System",
    "Tick",
    "To",
    "Trial",
    "Vmapped",
    "advance",
    "check_bounds",
    "check_dt",
    "constrain",
    "first_nonfinite",
    "fold",
    "get",
    "get_arrays",
    "lift",
    "named_keys",
    "param",
    "param_table",
    "parameters",
    "probe",
    "put",
    "put_arrays",
    "run",
    "start",
    "unconstrain",
    "walk",
]
