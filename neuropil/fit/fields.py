r"""What a sensor that is not there would read: a smooth field through the sensors that are, or its sources.

All are linear maps from seen sensors to others, found once for a set of places. `FieldGP`: a Gaussian process
over space with the squared exponential kernel, $k = e^{-r^2 / 2 l^2}$; what measures a gradient along u, as
planar gradiometers do, reads $l\, u \cdot \nabla f$ of the same field f (the factor l gives it variance 1).
`minimum_norm`: sources of least power that explain what was seen, for a lead field that is known.

Sources: Rasmussen and Williams (2006), ch. 2 and 9.4; Hamalainen and Ilmoniemi (1994), Med. Biol. Eng. Comput.
32:35.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float


class Places(NamedTuple):
    """Where sensors are (`positions`, sensor x 3) and what they read of a field: its value, or where `slopes`
    (sensor, 3) is not 0 its gradient along that unit vector. Sensors of different `group` share no field."""

    positions: Float[np.ndarray, "sensor 3"]
    slopes: Float[np.ndarray, "sensor 3"]
    group: Float[np.ndarray, " sensor"]

    @staticmethod
    def values(positions: Float[np.ndarray, "sensor 3"]) -> Places:
        """Sensors that all read the value of one field."""
        positions = np.asarray(positions, float)
        return Places(positions, np.zeros_like(positions), np.zeros(len(positions)))

    def __getitem__(self, index) -> Places:
        return Places(self.positions[index], self.slopes[index], self.group[index])


@dataclass(frozen=True)
class FieldGP:
    """A field over space: `length` in the unit of positions, `noise` a variance, in that of the field.

    >>> a = Places.values(np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]))
    >>> half_way = Places.values(np.array([[0.5, 0.0, 0.0]]))
    >>> FieldGP(1.0, 1e-9).gain(a, half_way).round(3).tolist()
    [[0.549, 0.549]]

    Raises ValueError for a length or noise that is not positive.
    """

    length: float
    noise: float = 0.1

    def __post_init__(self):
        if not self.length > 0 or not self.noise > 0:
            raise ValueError(
                f"FieldGP: length = {self.length} and noise = {self.noise} must be positive"
            )

    def covariance(self, a: Places, b: Places) -> Float[np.ndarray, "a b"]:
        """Of what sensors a and b read, without noise."""
        apart = (a.positions[:, None] - b.positions[None]) / self.length
        k = np.exp(-0.5 * (apart**2).sum(-1)) * (a.group[:, None] == b.group[None])
        one = ~a.slopes.any(1), ~b.slopes.any(1)
        along_a = np.einsum("abi,ai->ab", apart, a.slopes)
        along_b = np.einsum("abi,bi->ab", apart, b.slopes)
        # d/dx k = -apart k / l and d/dy k = apart k / l; both are scaled by l
        first = np.where(one[0][:, None], 1.0, -along_a)
        both = np.einsum("ai,bi->ab", a.slopes, b.slopes) - along_a * along_b
        factor = np.where(one[1][None], first, np.where(one[0][:, None], along_b, both))
        return k * factor

    def gain(self, seen: Places, other: Places) -> Float[np.ndarray, "other seen"]:
        """Expected readings of others are gain @ readings of the seen."""
        within = self.covariance(seen, seen) + self.noise * np.eye(len(seen.positions))
        return np.linalg.solve(within, self.covariance(seen, other)).T


def nearest(seen: Places, other: Places) -> Float[np.ndarray, "other seen"]:
    """Every other sensor reads what the nearest seen one of its sort does (0 where there is none)."""
    far = np.linalg.norm(other.positions[:, None] - seen.positions[None], axis=-1)
    sort = lambda p: np.stack([p.group, p.slopes.any(1)], 1)
    same = (sort(other)[:, None] == sort(seen)[None]).all(-1)
    gain = np.zeros(far.shape)
    best = np.where(same, far, np.inf).argmin(1)
    gain[np.arange(len(far)), best] = same.any(1)
    return gain


def minimum_norm(
    gain: Float[np.ndarray, "sensor source"],
    noise: Float[np.ndarray, "sensor sensor"],
    power: Float[np.ndarray, " source"] | float = 1.0,
) -> Float[np.ndarray, "source sensor"]:
    r"""$R L^\top (L R L^\top + N)^{-1}$: the sources' expected moments are this times what sensors read.

    `gain` L, covariance `noise` N of the sensors, prior `power` R of the sources (equal: the plain minimum-norm
    estimate; their true power: the best that is linear). Rank-deficient data, as after an average reference,
    are handled by the pseudo-inverse.

    >>> minimum_norm(np.array([[2.0]]), np.array([[1.0]])).tolist()
    [[0.4]]
    """
    gain = np.asarray(gain, float)
    prior = np.broadcast_to(np.asarray(power, float), gain.shape[1:])
    within = (gain * prior) @ gain.T + noise
    return (gain * prior).T @ np.linalg.pinv(within, rcond=1e-10, hermitian=True)


def best_field(
    windows: Float[np.ndarray, "window sensor time"],
    places: Places,
    hidden: Bool[np.ndarray, "fold sensor"],
    lengths: tuple[float, ...],
    noises: tuple[float, ...],
) -> tuple[FieldGP, float]:
    """The field whose guesses of `hidden` sensors correlate most with what they read, and that correlation.

    Validation: give windows that are not tested on.
    """
    found = []
    for length in lengths:
        for noise in noises:
            field, told = FieldGP(length, noise), []
            for out in hidden:
                guess = np.einsum(
                    "hs,wst->wht", field.gain(places[~out], places[out]), windows[:, ~out]
                )
                truth = windows[:, out] - windows[:, out].mean(-1, keepdims=True)
                guess = guess - guess.mean(-1, keepdims=True)
                power = (truth**2).sum(-1) * (guess**2).sum(-1)
                told.append(((truth * guess).sum(-1) / np.sqrt(np.maximum(power, 1e-30))).mean())
            found.append((float(np.mean(told)), field))
    score, field = max(found, key=lambda pair: pair[0])
    return field, score
