"""GPFA, the sequential autoencoders and bits per spike: closed forms first, then known small cases."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.fit.gpfa import GPFA, PoissonReadout, _kernel, infer
from neuropil.fit.langevin import CoupledOscillators, LangevinFlow, langevin_step
from neuropil.fit.sequential import (
    SequentialAutoencoder,
    SequentialVAE,
    coordinated_dropout,
    gaussian_divergence,
    trial_loss,
)
from neuropil.stats.likelihood import bits_per_spike

RNG = np.random.default_rng(0)


def test_latents_and_evidence_of_gpfa_are_those_of_the_joint_gaussian(x64):
    p, bins, units = 2, 6, 3
    C, d, r = RNG.normal(size=(units, p)), RNG.normal(size=units), np.array([0.5, 1.0, 2.0])
    params = {"loading": C, "offset": d, "noise": r, "length": np.array([1.0, 3.0])}
    params = {name: jnp.asarray(a) for name, a in params.items()}
    y = RNG.normal(size=(2, bins, units))
    mean, covariance, evidence = infer(params, jnp.asarray(y))
    K = np.zeros((p * bins, p * bins))
    for i, length in enumerate(params["length"]):
        at = slice(i * bins, (i + 1) * bins)
        K[at, at] = _kernel(bins, length)
    wide = np.kron(C, np.eye(bins))  # rows: unit, bin
    S = wide @ K @ wide.T + np.kron(np.diag(r), np.eye(bins))
    flat = (y - d).transpose(0, 2, 1).reshape(2, -1)
    gain = K @ wide.T @ np.linalg.inv(S)
    np.testing.assert_allclose(mean.reshape(2, -1), flat @ gain.T, atol=1e-9)
    np.testing.assert_allclose(covariance, K - gain @ wide @ K, atol=1e-9)
    square = np.einsum("ni,ij,nj->", flat, np.linalg.inv(S), flat)
    dense = -0.5 * (square + 2 * np.linalg.slogdet(S)[1] + flat.size * np.log(2 * np.pi))
    np.testing.assert_allclose(evidence, dense, rtol=1e-10)


def test_gpfa_climbs_and_finds_the_timescale():
    bins, length = 40, 6.0
    root = np.linalg.cholesky(np.asarray(_kernel(bins, length)))
    x = RNG.normal(size=(60, bins)) @ root.T
    y = x[..., None] * np.array([1.0, -0.7, 0.5, 1.2]) + 0.4 * RNG.normal(size=(60, bins, 4))
    model = GPFA(1, length=2.0, iterations=25, root=False).fit(y)
    steps = np.diff(model.history_)
    assert (steps > -1e-5 * abs(model.history_[-1])).all()
    assert steps[0] > 0
    assert 4.5 < float(model.params_["length"][0]) < 8.0
    assert abs(np.corrcoef(model.transform(y).ravel(), x.ravel())[0, 1]) > 0.97
    np.testing.assert_allclose(model.params_["noise"], 0.16, rtol=0.25)


def test_bits_per_spike_of_the_mean_is_0_and_of_the_truth_positive():
    rate = np.exp(np.sin(np.arange(200) / 9.0))[:, None] * np.ones(3)
    counts = RNG.poisson(rate)
    flat = np.broadcast_to(counts.mean(0), counts.shape)
    assert float(bits_per_spike("poisson", counts, flat)) == pytest.approx(0.0, abs=1e-5)
    assert float(bits_per_spike("poisson", counts, rate)) > 0.1
    # by hand: one unit, counts 0 and 2, rates 0.5 and 1.5: 2 log 1.5 nats over 2 spikes
    found = bits_per_spike("poisson", np.array([[0.0], [2.0]]), np.array([[0.5], [1.5]]))
    assert float(found) == pytest.approx(np.log2(1.5), rel=1e-5)


def test_readout_finds_the_weights_that_made_the_counts():
    f = RNG.normal(size=(40, 50, 2))
    counts = RNG.poisson(np.exp(0.3 + f @ np.array([[0.5], [-0.25]])))
    model = PoissonReadout(1e-3).fit(f, counts)
    np.testing.assert_allclose(model.theta_[1:, 0] / model.scale_, [0.5, -0.25], atol=0.06)


def test_a_langevin_step_and_divergences_by_hand():
    z, v = langevin_step(jnp.array(1.0), jnp.array(2.0), jnp.array(3.0))
    assert (float(z), float(v)) == pytest.approx((1.02, 0.8865))
    z, v = langevin_step(jnp.array(1.0), jnp.array(2.0), jnp.array(3.0), step=0.0, friction=0.0)
    assert (float(z), float(v)) == (1.0, 2.0)
    assert float(gaussian_divergence(jnp.zeros(1), jnp.zeros(1))) == 0.0
    assert float(gaussian_divergence(jnp.zeros(2), jnp.log(1.1), 0.1)) > 0


def test_potential_is_the_sum_over_all_pairs_of_groups():
    part = CoupledOscillators(jnp.asarray(RNG.normal(size=(4, 4, 3)), jnp.float32))
    z = RNG.normal(size=16).astype(np.float32)
    K = np.asarray(part.kernel)
    K = K / np.linalg.norm(K, axis=2, keepdims=True)
    rows, total = z.reshape(4, 4), 0.0
    for g in range(4):
        wide = np.pad(rows, ((0, 0), (1, 1)))
        a = sum(
            np.array([K[g, h] @ wide[h, i : i + 3] for i in range(4)]) for h in range(4)
        )  # conv1d as torch has it: a correlation
        total += sum(a @ rows[other] for other in range(4))
    assert float(part(jnp.asarray(z))) == pytest.approx(total, rel=1e-4)
    still = CoupledOscillators(jnp.zeros((4, 4, 3)))
    slope = jax.grad(lambda part: part(jnp.asarray(z)))(still).kernel
    assert bool(jnp.isfinite(slope).all())
    with pytest.raises(ValueError, match="groups"):
        part(jnp.ones(6))


def test_dropout_that_is_coordinated_shares_no_entry():
    shown, teaches = coordinated_dropout(jnp.ones((100, 50)), 0.7, jr.key(0))
    kept = shown > 0
    assert float(kept.mean()) == pytest.approx(0.7, abs=0.03)
    assert bool(teaches[~kept].all())
    assert not bool(teaches[kept].any())
    _, teaches = coordinated_dropout(jnp.ones((100, 50)), 0.7, jr.key(0), 0.3)
    assert float(teaches[kept].mean()) == pytest.approx(0.3, abs=0.03)
    shown, teaches = coordinated_dropout(jnp.ones(10), 1.0, jr.key(0))
    assert bool((teaches & (shown == 1)).all())


def test_masked_entries_teach_nothing():
    """A network of free log rates: where dropout showed an entry, its gradient is zero."""
    x = jnp.ones((2, 4, 3))

    def free(table):
        return lambda shown, key, seed: (table + 0 * shown, jnp.zeros(()))

    batch = {"x": x, "y": jnp.ones((2, 4, 0)), "kl": jnp.zeros(()), "keep": jnp.asarray(0.5)}
    loss = lambda table: trial_loss(free(table), batch, jr.key(1))[0]
    slope = jax.grad(loss)(jnp.ones((4, 3)))
    _, teaches = coordinated_dropout(x, 0.5, jr.split(jr.key(1), 3)[0])
    want = teaches.sum(0) * (np.e - 1) / x.size
    np.testing.assert_allclose(slope, want, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "options"),
    [
        (SequentialVAE.of, {"hidden": 8, "encoder": 8, "factors": 2}),
        (LangevinFlow.of, {"hidden": 8, "feedforward": 8}),
    ],
)
def test_autoencoders_learn_rates_and_read_no_unit_that_is_held_out(network, options):
    t, phase = np.arange(15), RNG.uniform(0, 6, 48)
    rate = np.exp(0.5 + np.sin(t / 3 + phase[:, None]))[..., None] * np.ones(4)
    counts = RNG.poisson(rate)
    x, y = counts[..., :3], counts[..., 3:]
    settings = dict(options=options, updates=150, batch=24, rate=1e-2, samples=4)
    model = SequentialAutoencoder(network, **settings).fit(x, y)
    loss = model.history_["poisson"]
    assert loss[-20:].mean() < loss[:5].mean()
    rates = model.predict(x)
    assert rates.shape == counts.shape
    assert model.score(x, y) > 0.02
    assert model.score(x, y + 0) == model.score(
        x, y
    )  # rates come from x alone, the same every time
    with pytest.raises(ValueError, match="units"):
        model.predict(counts)


def test_what_is_wrong_is_said_before_any_work():
    x = np.ones((4, 5, 2))
    for model, word in (
        (GPFA(3), "latents"),
        (SequentialAutoencoder(batch=5), "batch"),
        (SequentialAutoencoder(keep=0.0), "keep"),
    ):
        with pytest.raises(ValueError, match=word):
            model.fit(x)
    with pytest.raises(ValueError, match="negative"):
        GPFA(1).fit(-x)
    with pytest.raises(ValueError, match="NaN"):
        GPFA(1).fit(x * np.nan)
    with pytest.raises(ValueError, match="hidden"):
        LangevinFlow.of(2, 2, hidden=6, key=jr.key(0))
