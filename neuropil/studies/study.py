"""Study, Arm, Metric, Results: what a paper's page says about its experiment."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

ROLES = ("system", "baseline", "control", "ceiling", "variant")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Arm:
    """One way to do the experiment: the paper's system, or what it is compared with.

    - `build(settings, data)` gives an autonomous `System` whose tick is one *chunk* of the experiment
      (a task, an epoch, a whole fit; 0.5 to 20 s of work): `step(state, None, tick) -> (state, {name:
      array})`. A chunk is a pure function of (system, carry): no wall time, no global randomness.
      All arms of a seed get the same key, so what they share (permutations, initial weights) should
      depend on the key in the same way.
    - `role`: system, baseline, control, ceiling or variant; exactly one arm of a study is the system.
    - `about`: one line for the report.
    - `jit`: False where `step` is host code (scikit-learn, own jits); its state is still arrays.
    - `ticks(settings)`: chunks of this arm, where they differ from the study's.
    - `gaps`: names of recorded values in which NaN means "not measured" (others stop the run).
    - `vmap`: all seeds as one vmapped job, where that was measured faster. On a GPU every compiled
      arm is vmapped, unless its seeds do not fit in memory together.
    """

    build: Callable[..., Any]
    role: str
    about: str = ""
    jit: bool = True
    ticks: Callable[[dict], int] | None = None
    gaps: tuple[str, ...] = ()
    vmap: bool = False

    def __post_init__(self):
        if self.role not in ROLES:
            raise ValueError(f"Arm: role {self.role!r} is none of {', '.join(ROLES)}")
        if self.vmap and not self.jit:
            raise ValueError("Arm: host code (jit=False) cannot be vmapped over seeds")


@dataclass(frozen=True)
class Metric:
    """A number in the table. `paper` quotes the paper's own values by arm, `where` says their place.

    >>> Metric("forgetting", better="lower", paper={"hlop": 0.013}, where="Table 1").better
    'lower'
    """

    label: str
    unit: str = ""
    better: str = "higher"
    paper: dict[str, float | int] = field(default_factory=dict)
    where: str = ""

    def __post_init__(self):
        if self.better not in ("higher", "lower"):
            raise ValueError(
                f"Metric {self.label!r}: better is {self.better!r}, not higher or lower"
            )


def _nothing(results: Any) -> dict:
    return {}


@dataclass(frozen=True, kw_only=True)
class Study:
    """A paper's system beside its baseline and control, over seeds, on a task.

    - `arms`: name -> `Arm`; the first is shown first.
    - `scales`: smoke, small, paper -> flat settings (numbers, strings, bools, tuples of numbers) with
      the same keys in each, "seeds" among them. Seeds are 0 .. n-1, never chosen.
    - `load(settings)`: the data, deterministic, shared by all arms and seeds.
    - `ticks(settings)`: chunks for each arm and seed.
    - `score(settings, history) -> {metric: float}` for one arm and one seed; `history` is {recorded
      name: numpy array stacked over ticks}. A metric an arm does not have is left out.
    - `metrics`: name -> `Metric`, those shown in the table.
    - `figures(results) -> {name: matplotlib Figure}`, or the bytes of a GIF (`worlds.film`).
    - `datasets`: registry names needed. Where they are missing and `demo` names an embedded data set,
      settings["data"] becomes `demo` and the run says that it is a demonstration, not the claim.
    - `check(settings)`: raises ValueError for settings that make no sense together.
    - `x64`: run under float64.

    Raises ValueError where the description contradicts itself.
    """

    slug: str
    arms: dict[str, Arm]
    scales: dict[str, dict]
    load: Callable[[dict], Any]
    ticks: Callable[[dict], int]
    score: Callable[[dict, dict], dict]
    metrics: dict[str, Metric]
    figures: Callable[[Any], dict] = _nothing
    datasets: tuple[str, ...] = ()
    demo: str | None = None
    check: Callable[[dict], Any] | None = None
    x64: bool = False
    cite: str = ""
    mechanism: str = ""
    claim: str = ""
    differs: tuple[str, ...] = ()
    cost: str = ""

    def __post_init__(self):
        say = f"Study {self.slug!r}"
        for kind, names in (("arm", self.arms), ("metric", self.metrics), ("scale", self.scales)):
            for name in names:
                if not _NAME.fullmatch(name):
                    raise ValueError(
                        f"{say}: {kind} {name!r} is no file name; use letters and digits"
                    )
        systems = [name for name, arm in self.arms.items() if arm.role == "system"]
        if len(systems) != 1:
            raise ValueError(f"{say}: needs exactly one arm with role 'system', has {systems}")
        if not self.scales:
            raise ValueError(f"{say}: has no scales; write scales={{'smoke': ..., 'small': ...}}")
        keys = {scale: set(settings) for scale, settings in self.scales.items()}
        first = next(iter(keys.values()))
        for scale, here in keys.items():
            if here != first:
                raise ValueError(f"{say}: scale {scale} differs in keys {sorted(here ^ first)}")
            if not isinstance(self.scales[scale].get("seeds"), int):
                raise ValueError(f"{say}: scale {scale} has no whole number 'seeds'")
        if self.demo is not None and "data" not in first:
            raise ValueError(f"{say}: has a demo, so its settings need the key 'data'")

    @property
    def system(self) -> str:
        """Name of the arm that is the paper's system."""
        return next(name for name, arm in self.arms.items() if arm.role == "system")

    def chunks(self, arm: str, settings: dict) -> int:
        """Ticks of an arm; ValueError unless a positive whole number."""
        n = (self.arms[arm].ticks or self.ticks)(settings)
        if n != int(n) or n < 1:
            raise ValueError(f"Study {self.slug!r}: arm {arm} has {n} ticks, needs at least 1")
        return int(n)


@dataclass(frozen=True)
class Results:
    """What a finished run gives its figures.

    - `history[arm][seed][name]`: recorded values stacked over ticks (numpy);
    - `values[metric][arm]`: one number a seed (NaN where it was not measured);
    - `settings`, `seeds`, and the `study`.
    """

    study: Study
    settings: dict
    seeds: tuple[int, ...]
    history: dict[str, dict[int, dict[str, Any]]]
    values: dict[str, dict[str, list[float]]]

    def stacked(self, arm: str, name: str) -> Any:
        """A recorded value of an arm over seeds and ticks: (seed, tick, ...)."""
        import numpy as np

        return np.stack([self.history[arm][seed][name] for seed in self.seeds])
