"""Macaque inferior temporal cortex: spikes to 7 objects at 3 positions (Zhang et al. 2011)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from neuropil.recordings import Recording


@dataclass(frozen=True)
class Objects:
    """Neurons recorded one after another: the n-th trial of the recording is the n-th trial of each neuron, so
    that labels are per neuron and trial. `object_id`, `position_id`: -1 where a neuron has no such trial.
    """

    spikes: Recording
    object_id: Int[np.ndarray, "unit trial"]
    position_id: Int[np.ndarray, "unit trial"]
    objects: tuple[str, ...]
    positions: tuple[str, ...]

    def __repr__(self) -> str:
        units, trials = self.object_id.shape
        return (
            f"Objects({units} units, {trials} trials, {len(self.objects)} objects at "
            f"{len(self.positions)} positions)"
        )

    def counts(self, start: float, stop: float) -> Float[np.ndarray, "trial unit"]:
        """Spikes of every trial and unit from `start` up to `stop`, seconds from onset."""
        counts = self.spikes.select(time=(start, stop)).to_numpy()
        return np.nansum(counts, 1)

    def population(
        self, start: float, stop: float, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Counts (trial, unit), object (trial,) and position (trial,) of trials put together at random.

        Each neuron's trials of a condition are shuffled on their own: a pseudo-population, which keeps what
        every neuron says of the object and position, and has no noise correlations. Where a neuron lacks a
        trial another of the same condition is taken twice.
        """
        counts = self.counts(start, stop)
        conditions = [(o, p) for o in range(len(self.objects)) for p in range(len(self.positions))]
        per = max(
            int(((self.object_id[0] == o) & (self.position_id[0] == p)).sum())
            for o, p in conditions
        )
        x = np.zeros((len(conditions) * per, counts.shape[1]))
        for unit in range(counts.shape[1]):
            for i, (o, p) in enumerate(conditions):
                own = np.flatnonzero((self.object_id[unit] == o) & (self.position_id[unit] == p))
                order = rng.permutation(own)
                more = rng.choice(own, max(per - len(own), 0))
                x[i * per : (i + 1) * per, unit] = counts[np.concatenate([order, more])[:per], unit]
        labels = np.repeat(np.array(conditions), per, 0)
        return x, labels[:, 0], labels[:, 1]


def load_objects(paths: dict[str, Path], about: dict[str, str]) -> Objects:
    """From the one file of spikes."""
    from dataclasses import replace

    from neuropil.recordings import read

    path = next(iter(paths.values()))
    spikes = read(path, rate=100.0)
    with np.load(path, allow_pickle=False) as a:
        found = {name: a[name] for name in ("object_id", "position_id")}
        names = {name: tuple(map(str, a[f"{name}_names"])) for name in ("object", "position")}
    return Objects(
        replace(spikes, about={**spikes.about, **about}),
        found["object_id"].astype(int),
        found["position_id"].astype(int),
        names["object"],
        names["position"],
    )
