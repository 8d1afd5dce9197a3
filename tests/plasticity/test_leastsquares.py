"""Recursive least squares against batch ridge after every sample; FORCE on a sine."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.core import Chain, Managed, System, run, start
from neuropil.plasticity import RecursiveLeastSquares, force
from neuropil.wiring import Dense

RIDGE = 0.7
READS = {"pre": "input.r", "target": "input.y"}


def batch(r, y):
    """Ridge regression in closed form: W = Y' R (R' R + a)^-1."""
    gram = r.T @ r + RIDGE * np.eye(r.shape[1])
    return np.linalg.solve(gram, r.T @ y).T


class Units(System):
    """Sussillo and Abbott's network: x' = (-x + W r + input) / 10 ticks, r = tanh(x)."""

    recurrent: jax.Array

    def init(self, dt, key):
        return 0.5 * jr.normal(key, (len(self.recurrent),))

    def step(self, state, x, tick):
        state = state + (-state + self.recurrent @ jnp.tanh(state) + x) / 10
        return state, jnp.tanh(state)


def samples(n=12, features=4, outputs=2):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, features)), rng.normal(size=(n, outputs))


def learned(rule, xs, reads):
    """The weight after every sample."""
    net = Chain(pick=lambda x: x["r"], wire=Dense(jnp.zeros((2, 4))))
    system = Managed(net, rule, "parts.wire.weight", reads)
    xs = jax.tree.map(jnp.asarray, xs)
    return np.asarray(run(system, start(system, 1.0, jr.key(0)), xs, record="theta")[1])


def test_every_sample_lands_on_batch_ridge(x64):
    r, y = samples()
    found = learned(RecursiveLeastSquares(4, ridge=RIDGE), {"r": r, "y": y}, READS)
    for n in range(1, len(r) + 1):
        np.testing.assert_allclose(found[n - 1], batch(r[:n], y[:n]), atol=1e-10)


def test_forgetting_is_exponentially_weighted_ridge_and_weights_count(x64):
    r, y = samples()
    gate = np.array([1, 0, 2, 1, 1, 0, 0.5, 1, 1, 1, 0, 1.0])
    rule = RecursiveLeastSquares(4, ridge=RIDGE, forget=0.8)
    found = learned(rule, {"r": r, "y": y, "gate": gate}, READS | {"gate": "input.gate"})
    seen = np.cumsum(gate > 0)  # a sample of weight 0 forgets nothing
    for n in range(1, len(r) + 1):
        age = seen[n - 1] - seen[:n]
        weights = gate[:n] * 0.8**age
        gram = (r[:n] * weights[:, None]).T @ r[:n] + RIDGE * 0.8 ** seen[n - 1] * np.eye(4)
        exact = np.linalg.solve(gram, (r[:n] * weights[:, None]).T @ y[:n]).T
        np.testing.assert_allclose(found[n - 1], exact, atol=1e-9)
    np.testing.assert_array_equal(found[1], found[0])


def test_a_batch_is_its_samples_one_by_one(x64):
    r, y = samples()
    rule = RecursiveLeastSquares(4, ridge=RIDGE)
    weight, p = jnp.zeros((2, 4)), rule.init(1.0, None)
    at_once, p_once = rule.learn(weight, p, jnp.asarray(r), jnp.asarray(y), jnp.ones(len(r)))
    np.testing.assert_allclose(at_once, batch(r, y), atol=1e-10)
    exact = np.linalg.inv(r.T @ r + RIDGE * np.eye(4))
    np.testing.assert_allclose(p_once, exact, atol=1e-10)


def test_without_forgetting_p_only_shrinks():
    r, y = samples()
    rule = RecursiveLeastSquares(4, ridge=RIDGE)
    weight, p = jnp.zeros((2, 4)), rule.init(1.0, None)
    traces = []
    for one, target in zip(jnp.asarray(r), jnp.asarray(y), strict=True):
        weight, p = rule.learn(weight, p, one, target)
        traces.append(float(jnp.trace(p)))
    assert (np.diff(traces) < 0).all()


def test_force_is_the_published_update_and_then_runs_on_its_own():
    """W <- W - e (P_new r)', and a sine of period 40 that goes on for 3 periods without a teacher."""
    n, ticks, period = 120, 2400, 40
    a, b, c = jr.split(jr.key(0), 3)
    net = Units(1.5 / jnp.sqrt(n) * jr.normal(a, (n, n)))
    loop = force(net, Dense(jnp.zeros((1, n))), Dense(2 * jr.uniform(b, (n, 1)) - 1))
    t = jnp.arange(ticks + 3 * period)
    xs = {
        "input": jnp.zeros((len(t), n)),
        "target": jnp.sin(2 * jnp.pi * t / period)[:, None],
        "gate": (t < ticks).astype(float),
    }
    carry = start(loop, 1.0, c)
    kept = {"z": "output.readout", "r": "output.features", "w": "theta", "p": "slow"}
    _, first = run(loop, carry, jax.tree.map(lambda x: x[:3], xs), record=kept)
    for k in (1, 2):
        error = first["z"][k] - xs["target"][k]
        step = -error[:, None] * (first["p"][k] @ first["r"][k])[None]
        np.testing.assert_allclose(first["w"][k] - first["w"][k - 1], step, atol=1e-6)
    _, z = run(loop, carry, xs, record="output.readout")
    alone = slice(ticks, None)  # no teacher from here on
    assert float(jnp.abs(z - xs["target"])[alone].mean()) < 0.1


@pytest.mark.parametrize(
    ("wrong", "match"),
    [({"ridge": 0.0}, "ridge"), ({"forget": 0.0}, "forget"), ({"forget": 1.5}, "at most 1")],
)
def test_nonsense_is_refused(wrong, match):
    with pytest.raises(ValueError, match=match):
        RecursiveLeastSquares(3, **wrong)
    with pytest.raises(ValueError, match="features"):
        RecursiveLeastSquares(0)
