"""deep-ei-snn: the cell by hand, the start of deep nets, batch norm, what arms share and training keeps."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.core import advance, start
from neuropil.papers.build import _deep_ei_net as net
from neuropil.papers.build._deep_ei_net import EIFamily, PlainFamily
from neuropil.papers.build._deep_ei_train import Split
from neuropil.papers.build.deep_ei_snn import STUDY, check
from neuropil.worlds.datasets.images import Images

KEY = jr.key(0)
TINY = STUDY.scales["smoke"] | dict(widths=(8,), steps=2, images=64, valid=16, test=16, batch=16)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    y = (np.arange(112) % 4).astype(np.uint8)
    bright = 120 * (np.arange(16).reshape(4, 4) // 4 == y[:, None, None])  # the row that is bright
    x = np.clip(rng.normal(60, 40, (112, 4, 4)) + bright, 0, 255).astype(np.uint8)
    images = Images(x[:80], y[:80], x[80:], y[80:], "toy", "made up", tuple("abcd"))
    return Split.of(images, 64, 16, 16)


def test_the_cell_halves_adds_and_subtracts():
    s = net.spikes(jnp.array([[0.6, 1.0, -1.0]]), 6)[:, 0]
    assert s[:, 0].tolist() == [0, 0, 1, 0, 0, 1]  # v = .6 .9 1.05 | .025+.6 .91 1.06
    assert s[:, 1].tolist() == [1] * 6  # closed threshold
    assert s[:, 2].tolist() == [0] * 6
    slope = jax.grad(lambda c: net.spikes(c, 2).sum())(jnp.array([[0.6]]))
    v1, v2 = 0.6, 0.9  # the reset is not differentiated: dv2/dI = 1 + 1/2
    bump = lambda v: 4 / (1 + np.exp(-4 * (v - 1))) / (1 + np.exp(4 * (v - 1)))
    assert float(slope[0, 0]) == pytest.approx(bump(v1) + 1.5 * bump(v2), rel=1e-5)


def family(**flags):
    all_on = dict.fromkeys(("init", "scaled", "learns"), True) | flags
    return EIFamily(**{n: jnp.asarray(v) for n, v in all_on.items()})


@pytest.mark.slow
def test_circuits_start_with_spikes_in_every_layer_where_plain_ones_fall_silent():
    x = jnp.asarray(np.random.default_rng(1).random((64, 200)), jnp.float32)
    widths = (80,) * 5 + (10,)
    rates = jax.jit(lambda f: f.start(x, widths, 2, KEY)[1])(family())
    assert rates.shape == (5,)
    assert (
        float(rates.min()) > 0.03
    )  # few I cells: the layers differ by chance, but none falls silent
    assert float(rates.max()) < 0.4
    plain = jax.jit(lambda f: f.start(x, widths, 2, KEY)[1])
    usual = plain(PlainFamily(jnp.asarray(False), jnp.asarray(False)))
    assert float(usual[2:].max()) == 0
    fitted = plain(PlainFamily(jnp.asarray(False), jnp.asarray(True)))
    assert float(fitted.min()) > 0.03


def test_batch_norm_normalises_over_batch_and_time():
    layers = PlainFamily(jnp.asarray(True), jnp.asarray(False))
    wire = net.Dense.init_uniform(6, 5, KEY, bias=True)
    layer = net.Layer(wire, 2 * jnp.ones(5), 0.5 * jnp.ones(5))
    x = jr.normal(KEY, (3, 40, 6))
    y, (mean, var) = layers._current(layer, x)
    np.testing.assert_allclose(y.mean((0, 1)), 0.5, atol=1e-5)
    np.testing.assert_allclose(y.std((0, 1)), 2.0, rtol=1e-3)
    again, _ = layers._current(layer, x[:, :1], (mean, var))  # other statistics: those given
    np.testing.assert_allclose(again, y[:, :1], rtol=1e-4, atol=1e-5)
    off = PlainFamily(jnp.asarray(False), jnp.asarray(False))._current(layer, x)[0]
    np.testing.assert_allclose(off, x @ wire.weight.T + wire.bias[None, None], rtol=1e-4, atol=1e-5)


def test_arms_of_a_family_are_one_program_with_one_start(data):
    systems = {name: arm.build(TINY, data) for name, arm in STUDY.arms.items()}
    for group in (("ei", "no-init", "no-prop", "frozen"), ("bn", "plain", "fitted")):
        first, *others = (systems[n] for n in group)
        for other in others:
            assert jax.tree.structure(other) == jax.tree.structure(first)
            shapes = [[a.shape for a in jax.tree.leaves(s)] for s in (first, other)]
            assert shapes[0] == shapes[1]


def test_training_keeps_signs_learns_and_freezes_what_it_should(data):
    step, begin = eqx.filter_jit(advance), eqx.filter_jit(lambda s: start(s, 1.0, KEY))
    out = {}
    for name in ("ei", "frozen", "no-prop"):
        system = STUDY.arms[name].build(TINY | {"rate_ei": 0.1}, data)
        carry = begin(system)
        first = carry.state["layers"]
        record = []
        for _ in range(2):
            carry, now = step(system, carry)
            record.append({k: np.asarray(v) for k, v in now.items()})
        out[name] = (first, carry.state["layers"], record)
    same = jax.tree.map(lambda a, b: bool((a == b).all()), out["ei"][0], out["frozen"][0])
    assert jax.tree.all(same)  # one key, one start
    for name, (first, last, record) in out.items():
        assert record[-1]["least"] >= 0
        assert np.isfinite(record[-1]["loss"])
        moved = [
            float(jnp.abs(a.excite.weight - b.excite.weight).max())
            for a, b in zip(first, last, strict=True)
        ]
        assert moved[-1] > 0
        assert all((m > 0) == (name != "frozen") for m in moved[:-1])
    assert out["ei"][2][-1]["loss"] < out["ei"][2][0]["loss"]
    pushed = [
        np.abs(np.asarray(out[n][1][0].inhibit - out[n][0][0].inhibit)).max()
        for n in ("ei", "no-prop")
    ]
    assert pushed[1] > 4 * pushed[0]  # without the division by 16 W_EI moves more
    history = {k: np.stack([r[k] for r in out["ei"][2]]) for k in out["ei"][2][0]}
    score = STUDY.score(TINY, history)
    assert set(score) == set(STUDY.metrics)
    assert score["accuracy"] == pytest.approx(history["test"][-1])
    assert score["evenness"] == pytest.approx(
        history["rates_before"][0].min() / history["rates_before"][0].max()
    )


def test_images_are_split_and_none_is_used_twice(data):
    assert [len(y) for _, y in (data.train, data.valid, data.test)] == [64, 16, 16]
    with pytest.raises(ValueError, match="but toy has"):
        Split.of(
            Images(*(np.zeros((4, 2, 2), np.uint8), np.zeros(4, np.uint8)) * 2, "toy", "", ("a",)),
            4,
            1,
            1,
        )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"batch": 100_000}, "batch"),
        ({"widths": (200, 3)}, "widths"),
        ({"warm": 2.0}, "warm"),
        ({"epochs": 0}, "epochs"),
        ({"test": 20_000}, "test"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, says):
    check(STUDY.scales["small"])
    with pytest.raises(ValueError, match=says):
        check(STUDY.scales["small"] | change)
