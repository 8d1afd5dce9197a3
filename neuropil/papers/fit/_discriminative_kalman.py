"""Data and decoders of discriminative_kalman.py: a known mixture, learned tuning, and a real track."""

from __future__ import annotations

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import Array, lax

from neuropil.belief import DiscriminativeKalman, Kalman
from neuropil.core import System, run, start
from neuropil.core.random import fold, generator
from neuropil.fit.filters import DiscriminativeKalmanDecoder, KalmanDecoder

D = 10  # dimensions of the known model
WIDE = 5.0  # noise variance of its second component
REPAIR = {"dkf": "clip", "drop": "drop", "robust": "robust", "regression": "clip"}


def errors(guess, truth) -> float:
    """Root mean square error as a share of the root mean square of the truth: 1 where 0 is answered."""
    return float(np.sqrt(np.mean((guess - truth) ** 2) / np.mean(truth**2)))


class Mixture(eqx.Module):
    """N(f, V) of z ~ N(0, I) seen as x = H z + N(0, 1) or as x = -H z + N(0, 5), each half the time.

    The moments of the exact posterior, a mixture of two Gaussians.
    """

    H: Array

    def parts(self, x: Array) -> tuple[Array, Array, Array]:
        """Of both components: log weight (2,), mean (2, n), covariance (2, n, n)."""
        n, d = self.H.shape

        def one(sign, noise):
            cov = jnp.linalg.inv(jnp.eye(d) + self.H.T @ self.H / noise)
            mean = sign * cov @ (self.H.T @ x) / noise
            fit = (x @ x - sign * (self.H.T @ x) @ mean) / noise
            log_det = n * jnp.log(noise) - jnp.linalg.slogdet(cov)[1]
            return -0.5 * (fit + log_det), mean, cov

        both = one(1.0, 1.0), one(-1.0, WIDE)
        return tuple(jnp.stack(part) for part in zip(*both, strict=True))

    def __call__(self, x: Array) -> tuple[Array, Array]:
        log_weight, mean, cov = self.parts(x)
        w = jax.nn.softmax(log_weight)
        f = w @ mean
        second = (w[:, None, None] * (cov + mean[:, :, None] * mean[:, None, :])).sum(0)
        return f, second - f[:, None] * f[None, :]


def moves(d: int) -> tuple[np.ndarray, np.ndarray]:
    """A and Q of the known model, of which the identity is the stationary covariance."""
    A = 0.95 * np.eye(d) - 0.05
    return A, np.eye(d) - A @ A.T


def known(rng: np.random.Generator, n: int, time: int) -> tuple[np.ndarray, ...]:
    """H (n, d), and states (time, d) and observations (time, n), twice: to learn from and to decode."""
    A, Q = moves(D)
    H = rng.normal(size=(n, D)) / np.sqrt(D)
    root = np.linalg.cholesky(Q)
    z = np.zeros((2 * time, D))
    z[0] = rng.normal(size=D)
    for t in range(1, 2 * time):
        z[t] = A @ z[t - 1] + root @ rng.normal(size=D)
    second = rng.random(2 * time) < 0.5
    noise = rng.normal(size=(2 * time, n)) * np.where(second, WIDE**0.5, 1.0)[:, None]
    x = np.where(second, -1.0, 1.0)[:, None] * (z @ H.T) + noise
    return H, z[:time], x[:time], z[time:], x[time:]


@eqx.filter_jit
def _means(system, x):
    return run(system, start(system, 1.0, jr.key(0)), x)[1].mean


@eqx.filter_jit
def particles(H, A, Q, x, count: int, key) -> Array:
    """Posterior means by a bootstrap particle filter, resampled at every tick (systematically)."""
    root, gram, seen = jnp.linalg.cholesky(Q), H.T @ H, x @ H
    noise = jnp.asarray([1.0, WIDE])
    sign, size = jnp.asarray([1.0, -1.0]), (x**2).sum(1)

    def step(carry, now):
        z, k = carry
        hx, xx = now
        k, a, b = jr.split(k, 3)
        z = z @ A.T + jr.normal(a, z.shape) @ root.T
        cross, square = z @ hx, ((z @ gram) * z).sum(1)
        fit = xx - 2 * sign[:, None] * cross[None] + square[None]
        fit = -0.5 * (fit / noise[:, None] + H.shape[0] * jnp.log(noise)[:, None])
        w = jax.nn.softmax(jax.nn.logsumexp(fit, axis=0))
        places = (jnp.arange(count) + jr.uniform(b)) / count
        again = jnp.searchsorted(jnp.cumsum(w), places).clip(0, count - 1)
        return (z[again], k), w @ z

    begin = jr.normal(fold(key, "particles"), (count, A.shape[0]))
    return lax.scan(step, (begin, key), (seen, size))[1]


def decode_known(arm: str, settings: dict, n: int, key: Array) -> float:
    """Error of an arm on the known model; NaN of an arm that is not for it."""
    H, z0, x0, z, x = known(generator(key, f"known {n}"), n, settings["time"])
    A, Q = (jnp.asarray(a, float) for a in moves(D))
    floats = lambda a: jnp.asarray(a, float)
    if arm == "zero":
        return errors(0 * z, z)
    if arm == "particles":
        count = settings["particles"]
        return errors(np.asarray(particles(floats(H), A, Q, floats(x), count, key)), z)
    if arm == "kalman":  # A and Q are known to it too; its observation is fitted on other data
        C = np.linalg.lstsq(z0, x0, rcond=None)[0].T
        rest = x0 - z0 @ C.T
        R = rest.T @ rest / len(rest)
        system = Kalman(A, floats(C), Q, floats(R), jnp.zeros(D), jnp.eye(D))
        return errors(np.asarray(_means(system, floats(x))), z)
    mixture = Mixture(floats(H))
    if arm == "regression":
        return errors(np.asarray(jax.jit(lambda x: lax.map(mixture, x)[0])(floats(x))), z)
    system = DiscriminativeKalman(mixture, A, Q, jnp.eye(D), channels=n, repair=REPAIR[arm])
    return errors(np.asarray(_means(system, floats(x))), z)


def tuned(rng: np.random.Generator, n: int, time: int, curved: bool):
    """Velocities (time, 2) and observations (time, n): square roots of counts of `n` neurons, every second one
    with a bump of tuning; or, not `curved`, linear in velocity with Gaussian noise."""
    z = np.zeros((time, 2))
    z[0] = rng.normal(size=2)
    for t in range(1, time):
        z[t] = 0.95 * z[t - 1] + np.sqrt(1 - 0.95**2) * rng.normal(size=2)
    angle = rng.uniform(0, 2 * np.pi, n)
    along = z @ np.stack([np.cos(angle), np.sin(angle)])
    if not curved:
        return z, along + 1.5 * rng.normal(size=(time, n))
    centre = rng.uniform(-1.5, 1.5, n)
    bump = 4 * np.exp(-((along - centre) ** 2) / 0.5)
    rate = np.where(np.arange(n) % 2 == 0, 2 * np.exp(0.5 * along - 0.125), bump)
    return z, np.sqrt(rng.poisson(rate))


def decode_learned(arm: str, x, z, train, test, apart: int = 0) -> tuple[float, np.ndarray | None]:
    """Error of an arm that learns from the rows `train` and decodes the stretch `test`, and what it says."""
    if arm == "particles":
        return np.nan, None
    centre, width = x[train].mean(0), x[train].std(0) + 1e-9
    x, mean = (x - centre) / width, z[train].mean(0)
    if arm == "zero":
        said = np.broadcast_to(mean, z[test].shape)
    elif arm == "kalman":
        said = KalmanDecoder().fit(x[train], z[train]).predict(x[test])
    else:
        model = DiscriminativeKalmanDecoder(REPAIR[arm], apart=apart).fit(x[train], z[train])
        said = model.regress(x[test]) if arm == "regression" else model.predict(x[test])
    return errors(said - mean, z[test] - mean), said


@dataclass(frozen=True, eq=False)
class Walk:
    """Square roots of smoothed counts (time, unit), and position (time, 2), standardised."""

    x: np.ndarray
    z: np.ndarray


def load(settings: dict) -> Walk:
    """The linear track in bins of 250 ms, counts averaged over the last four; or a stand-in."""
    if settings["data"] != "hippocampus-linear-track":
        z, x = tuned(np.random.default_rng(0), 31, settings["train"] + settings["test"], True)
        return Walk(x, z)
    from neuropil.worlds import datasets

    session = datasets.load("hippocampus-linear-track")
    (low, high), *_ = [(a, b) for name, a, b in session.epochs if name == "run" and b - a > 300]
    recording = session.recording(4.0, start=low, stop=high)
    counts = np.sqrt(np.asarray(recording.data.values)[0].astype(float))
    smooth = np.stack([np.roll(counts, lag, 0) for lag in range(4)]).mean(0)[3:]
    xy = session.position(recording)[3:]
    return Walk(smooth, (xy - xy.mean(0)) / xy.std(0))


class Decoding(System):
    """An arm: one tick is all of its experiments. Writes down errors, and a stretch of the track."""

    arm: str = eqx.field(static=True)
    settings: dict = eqx.field(static=True)
    walk: Walk = eqx.field(static=True)

    def init(self, dt, key):
        return {"key": key}

    def step(self, state, x, tick):
        s, key = self.settings, state["key"]
        learned, n = [], s["train"] + s["test"]
        split = np.arange(s["train"]), np.arange(s["train"], n)
        for size in s["learned"]:
            z, seen = tuned(generator(key, f"learned {size}"), size, n, True)
            learned.append(decode_learned(self.arm, seen, z, *split)[0])
        z, seen = tuned(generator(key, "linear"), s["linear"], n, False)
        linear = decode_learned(self.arm, seen, z, *split)[0]
        real, trace = self.track(key)
        return state, {
            "known": np.array([decode_known(self.arm, s, size, key) for size in s["known"]]),
            "learned": np.array(learned),
            "linear": np.array(linear),
            "real": np.array(real),
            "trace": trace,
        }

    def track(self, key) -> tuple[float, np.ndarray]:
        """The recording: a stretch of 30 % is decoded, which begins where the seed says."""
        walk, total = self.walk, len(self.walk.x)
        length = int(0.3 * total)
        first = int(generator(key, "stretch").integers(0, total - length + 1))
        inside = (np.arange(total) >= first) & (np.arange(total) < first + length)
        train, test = np.flatnonzero(~inside), np.flatnonzero(inside)
        error, said = decode_learned(self.arm, walk.x, walk.z, train, test, apart=8)
        trace = np.full((2, 200), np.nan)
        shown = min(200, length)
        trace[0, :shown] = walk.z[test][:shown, 0]
        if said is not None:
            trace[1, :shown] = said[:shown, 0]
        return error, trace
