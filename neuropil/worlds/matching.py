"""Delayed match to sample: was the second direction the first one?"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Int


class Trials(eqx.Module):
    """A batch of trials.

    `spikes` (time, trial, unit), 0 or 1; `match` (trial,), 1 where both directions are the same; `sample`,
    `test`: the directions' numbers.
    """

    spikes: Float[Array, "time trial unit"]
    match: Int[Array, " trial"]
    sample: Int[Array, " trial"]
    test: Int[Array, " trial"]


class DelayedMatch(eqx.Module):
    r"""Spikes of direction-tuned units: fixation, sample, delay, test; the answer is given during the test.

    $$r_k(\theta) = r_0 + r\, e^{\kappa (\cos(\theta - \theta_k) - 1)}$$

    while a direction is shown, r_0 otherwise; Bernoulli with probability r dt at every tick. Sample and test
    are the same in half of the trials, else two different ones of `directions`.

    **Arguments**: durations in ticks of `dt` ms; `units`, `directions`; `peak` r and `background` r_0 (Hz);
    `kappa`, the sharpness of tuning.

    >>> task = DelayedMatch(fixation=5, sample=10, delay=5, test=10)
    >>> trials = task.draw(jr.key(0), 4)
    >>> trials.spikes.shape, task.ticks
    ((30, 4, 24), 30)

    Source: Meyer et al. (2011), Proc. Natl. Acad. Sci. 108, 6266 (task); Wang et al. (2023), arXiv 2311.05106
    (units and rates).

    Raises ValueError for durations below one tick (fixation and delay may be 0), and for rates above one spike
    a tick.
    """

    fixation: int = eqx.field(static=True, default=500)
    sample: int = eqx.field(static=True, default=500)
    delay: int = eqx.field(static=True, default=1000)
    test: int = eqx.field(static=True, default=500)
    dt: float = eqx.field(static=True, default=1.0)
    units: int = eqx.field(static=True, default=24)
    directions: int = eqx.field(static=True, default=8)
    peak: float = eqx.field(static=True, default=40.0)
    background: float = eqx.field(static=True, default=1.0)
    kappa: float = eqx.field(static=True, default=2.0)

    def __check_init__(self):
        if min(self.sample, self.test) < 1 or min(self.fixation, self.delay) < 0:
            raise ValueError(
                "DelayedMatch: sample and test last 1 tick or more, the rest 0 or more"
            )
        if not 0 <= self.background < self.peak or (self.peak + self.background) * self.dt > 1000:
            raise ValueError(
                f"DelayedMatch: rates {self.background} and {self.peak} Hz at dt = {self.dt} ms; "
                "need 0 <= background < peak, and no more than one spike a tick"
            )
        if self.directions < 2:
            raise ValueError(f"DelayedMatch: {self.directions} directions; 2 or more can differ")

    @property
    def ticks(self) -> int:
        """Length of a trial."""
        return self.fixation + self.sample + self.delay + self.test

    def chances(self) -> Float[Array, "direction unit"]:
        """Probability of a spike a tick while each direction is shown."""
        angle = lambda n: 2 * jnp.pi * jnp.arange(n) / n
        away = angle(self.directions)[:, None] - angle(self.units)[None, :]
        tuned = self.peak * jnp.exp(self.kappa * (jnp.cos(away) - 1))
        return (self.background + tuned) * self.dt / 1000

    def draw(self, key: Array, n: int) -> Trials:
        """n trials."""
        a, b, c, d = jr.split(key, 4)
        sample = jr.randint(a, (n,), 0, self.directions)
        match = jr.bernoulli(b, 0.5, (n,)).astype(jnp.int32)
        other = (sample + jr.randint(c, (n,), 1, self.directions)) % self.directions
        test = jnp.where(match > 0, sample, other)
        shown = self.chances()
        calm = jnp.full((n, self.units), self.background * self.dt / 1000)
        parts = (
            (self.fixation, calm),
            (self.sample, shown[sample]),
            (self.delay, calm),
            (self.test, shown[test]),
        )
        chance = jnp.concatenate([jnp.broadcast_to(p, (t, *p.shape)) for t, p in parts])
        spikes = (jr.uniform(d, chance.shape) < chance).astype(chance.dtype)
        return Trials(spikes, match, sample, test)

    def observer(self, spikes: Float[Array, "time trial unit"]) -> Float[Array, " trial"]:
        r"""Log odds of a match for one who knows rates and times, the best that can be done.

        $$\log \frac{\sum_d p(s|d)\, p(t|d) / n}{\sum_{d \ne d'} p(s|d)\, p(t|d') / n(n-1)}$$
        """
        begin = self.fixation
        sample = spikes[begin : begin + self.sample].sum(0)
        test = spikes[begin + self.sample + self.delay :].sum(0)
        chance = self.chances()
        odds = jnp.log(chance) - jnp.log1p(-chance)
        silent = jnp.log1p(-chance).sum(1)
        told = lambda count, ticks: count @ odds.T + ticks * silent[None]
        both = told(sample, self.sample)[:, :, None] + told(test, self.test)[:, None, :]
        n = self.directions
        same = jnp.eye(n, dtype=bool)[None]
        total = lambda where, m: (
            jax.nn.logsumexp(jnp.where(where, both, -jnp.inf), (1, 2)) - jnp.log(m)
        )
        return total(same, n) - total(~same, n * (n - 1))
