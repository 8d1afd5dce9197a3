r"""How a belief about the logarithm of a variance is moved by what was seen: three rules.

The child moves as $x_t \sim N(x_{t-1}, \Omega)$ with $\log \Omega = \log t + \omega + \kappa z$; the rule
gives the Gaussian that stands for the posterior of z. With the child's step $\gamma = \Omega \hat\pi_j$ and
surprise $\Delta = \hat\pi_j / \pi_j + \hat\pi_j (\mu_j - \hat\mu_j)^2 - 1$ a quadratic expansion at $\hat\mu$
has the precision

$$P = \hat\pi + \tfrac{1}{2} \kappa^2 \gamma (\gamma + (2 \gamma - 1) \Delta)$$

**Where it breaks.** P is not positive where $\gamma < 1/2$ and
$\Delta \geq (\gamma + 2 \hat\pi / \kappa^2 \gamma) / (1 - 2 \gamma)$: a large error of a child whose variance
seemed small, under a parent that is itself unsure. Every belief after that is NaN. Keeping $\pi \geq \hat\pi$
(the HGF toolbox does) is not enough: the mean's step, $\kappa \gamma \Delta / 2 \hat\pi$, has no bound of its
own, and an outlier under an unsure parent sends log Omega to where it takes thousands of ticks to come back
from, or to infinity. `bounded=True` (the default) keeps both:

- $\pi \geq \hat\pi / 2$ (and 1e-10): an observation at most doubles the variance of a belief about volatility;
- a child moves its own log Omega by at most `REACH` = 2 a tick, or up to where its likelihood is largest,
  $\alpha + \Omega = \beta$, where that is further (the posterior's mode never lies beyond),

$\alpha$ being its variance before the step, $\beta$ its variance after it plus the square of the step. Where
neither bound is touched, as on pyhgf's example series, the numbers are those of `bounded=False`, which are
pyhgf's. Which of `Classical` and `Enhanced` predicts a long series with jumps better depends on the series.

Source: Mathys et al. (2011), Front. Hum. Neurosci. 5, 39; Mathys et al. (2014), 8, 825; Weber et al. (2023),
arXiv:2305.10937; floor at the predicted precision: HGF toolbox in TAPAS,
`tapas_ehgf_binary`. These bounds are ours.
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from neuropil.core import Part

LARGEST = 1e10  # no belief is more precise (pyhgf's bound)
BOUND = 80.0  # of |log Omega|: e^80 and e^-80 are normal numbers in single precision
REACH = 2.0  # how far log Omega moves in a tick


class Gaussian(NamedTuple):
    """Mean and precision of a belief."""

    mean: Array
    precision: Array


class Moved(NamedTuple):
    """What a volatility child tells its parent.

    - `coupling` kappa; `step` gamma; `error` Delta, divided by the number of its volatility parents;
    - `log_change` log Omega as predicted, `before` its variance before the step, `spread` its variance after
      it plus the square of its change.
    """

    coupling: Array
    step: Array
    error: Array
    log_change: Array
    before: Array
    spread: Array


class VolatilityUpdate(Part):
    """A rule: `rule(predicted, pull, weight, moved)` gives the posterior of a node with volatility children.

    `pull` and `weight` are what its value children add to mean x precision and to precision.
    """

    def __call__(self, predicted: Gaussian, pull: Array, weight: Array, moved: list[Moved]):
        """The posterior (`Gaussian`)."""
        raise TypeError(
            f"{type(self).__name__}: write def __call__(self, predicted, pull, weight, moved)"
        )

    def check(self, name: str, values: int, volatilities: int) -> None:
        """ValueError where the rule cannot serve a node with so many children."""


def _expand(predicted, weight, moved, bounded):
    """The precision of the quadratic expansion at the prediction."""
    p = predicted.precision + weight
    for m in moved:
        k, g = m.coupling, m.step
        p = p + k * k * g * (g + (2 * g - 1) * m.error) / 2
    least = jnp.maximum(predicted.precision / 2, 1 / LARGEST)
    p = jnp.maximum(p, least) if bounded else jnp.where(p > 0, p, jnp.nan)
    return jnp.minimum(p, LARGEST)


def _mean(predicted, pull, moved, precision, bounded):
    """The prediction plus the precision-weighted errors of all children."""
    mean = predicted.mean + pull / precision
    for m in moved:
        step = m.coupling * m.step * m.error / (2 * precision)
        if bounded:
            change = m.coupling * step  # of log Omega
            room = jnp.maximum(m.spread - m.before, jnp.finfo(step.dtype).tiny)
            most = jnp.maximum(jnp.log(room) - m.log_change, REACH)
            kept = jnp.clip(change, -REACH, most)
            outside = kept != change
            step = step * jnp.where(outside, kept / jnp.where(outside, change, 1.0), 1.0)
        mean = mean + step
    return mean


class Classical(VolatilityUpdate):
    r"""The first rule: $\pi = P, \; \mu = \hat\mu + \kappa \gamma \Delta / 2 \pi$ ("standard" in pyhgf).

    `bounded`: whatever is seen, the belief stays within the bounds of this module.
    """

    bounded: bool = eqx.field(static=True, default=True)

    def __call__(self, predicted, pull, weight, moved):
        p = _expand(predicted, weight, moved, self.bounded)
        return Gaussian(_mean(predicted, pull, moved, p, self.bounded), p)


class Enhanced(VolatilityUpdate):
    r"""The mean first: $\mu = \hat\mu + \kappa \gamma \Delta / 2 \hat\pi, \; \pi = P$ ("eHGF").

    `bounded`: whatever is seen, the belief stays within the bounds of this module.
    """

    bounded: bool = eqx.field(static=True, default=True)

    def __call__(self, predicted, pull, weight, moved):
        mean = _mean(predicted, pull, moved, predicted.precision, self.bounded)
        return Gaussian(mean, _expand(predicted, weight, moved, self.bounded))


class Unbounded(VolatilityUpdate):
    r"""Two expansions, one at the prediction and one near the mode, mixed by their energies ("unbounded").

    $$I(z) = -\tfrac{1}{2} \log(\alpha + \Omega(z)) - \frac{\beta}{2 (\alpha + \Omega(z))}
      - \tfrac{\hat\pi}{2} (z - \hat\mu)^2$$

    with $\alpha$ the child's variance before its step and $\beta$ the spread after it; the mode for
    $\alpha = 0$ is Lambert's W. Both expansions have positive precision whatever was seen. For nodes with one
    volatility child and no value child. Dearer than the other two: a dozen exponentials more a node.
    """

    def check(self, name, values, volatilities):
        if values or volatilities != 1:
            raise ValueError(
                f"HGF: node {name!r} has {values} value and {volatilities} volatility children, but the "
                "update Unbounded serves one volatility child; write update=Enhanced()"
            )

    def __call__(self, predicted, pull, weight, moved):
        (m,) = moved
        mu, pi = predicted
        k, at = m.coupling, m.log_change
        change = lambda z: jnp.exp(jnp.clip(at + k * (z - mu), -BOUND, BOUND))

        def energy(z):
            total = m.before + change(z)
            return -(jnp.log(total) + m.spread / total + pi * (z - mu) ** 2) / 2

        w = jax.nn.sigmoid(at - jnp.log(m.before))
        pi1 = pi + k * k * w * (1 - w) / 2
        mu1 = mu + k * w * (m.spread / (m.before + change(mu)) - 1) / (2 * pi1)
        q = pi / (k * k)
        log_arg = jnp.log(m.spread) - jnp.log(2 * q) + 1 / (2 * q) - at
        largest = jnp.log(jnp.finfo(log_arg.dtype).max)
        z = mu + (_lambert(jnp.exp(jnp.minimum(log_arg, largest))) - 1 / (2 * q)) / k
        there = change(z)
        w = there / (m.before + there)
        error = m.spread / (m.before + there) - 1
        pi2 = pi + k * k * w * (w + (2 * w - 1) * error) / 2
        pi2 = jnp.where(pi2 > 0, pi2, pi + k * k * w * (1 - w) / 2)
        mu2 = z + (k * w * error / 2 - pi * (z - mu)) / pi2
        good = jnp.isfinite(pi2) & jnp.isfinite(mu2)
        pi2, mu2 = jnp.where(good, pi2, pi1), jnp.where(good, mu2, mu1)
        b = jax.nn.sigmoid(energy(mu2) - energy(mu1))
        variance = (1 - b) / pi1 + b / pi2 + b * (1 - b) * (mu1 - mu2) ** 2
        return Gaussian((1 - b) * mu1 + b * mu2, jnp.minimum(1 / variance, LARGEST))


BOUND = (
    80.0  # of |log variance| gained a tick: e^80 and e^-80 are normal numbers in single precision
)


def _lambert(z):
    """W0(z), z >= 0: six of Halley's steps from log(1 + z)."""
    w = jnp.log1p(z)
    for _ in range(6):
        # divided through by e^w, so that nothing overflows: f e^-w = w - z e^-w
        f = w - z * jnp.exp(-w)
        w = w - 2 * f * (w + 1) / (2 * (w + 1) ** 2 - f * (w + 2))
    return w
