"""pyhgf: equality with recorded beliefs, a graph that is no tower, learners and subjects of the recovery."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.belief import (
    HGF,
    HMM,
    Categorical,
    Continuous,
    Enhanced,
    State,
    Value,
    Volatility,
)
from neuropil.core import run, start
from neuropil.papers.build._pyhgf import RescorlaWagner, Switching, draw, predictions
from neuropil.papers.build._pyhgf_score import score
from neuropil.papers.build._pyhgf_series import arrays, differences, follow, models, recorded
from neuropil.papers.build.pyhgf import STUDY, check

K = np.arange(1, 201)
SERIES = np.sin(2 * np.pi * K / 40) + 0.2 * np.cos(2 * np.pi * K**2 / 97)


def test_the_recorded_values_are_whole_and_named_as_the_models_are():
    data = recorded()
    assert data["usdchf"].shape == (614,)
    assert data["binary"].shape == (320,)
    assert {k.split("|")[0] for k in data if "|" in k} - {"graph.eHGF"} == set(models())


@pytest.mark.parametrize("name", ["continuous3.eHGF", "binary3.standard", "volatile.unbounded"])
def test_beliefs_equal_pyhgfs(name, x64):
    """Towers by the kernel, a volatile node by the scan; all thirteen in the study."""
    found = jax.jit(lambda data: differences(data, [name]))(arrays(recorded()))
    assert float(found[name]) < 1e-9


def test_a_graph_with_shared_parents_and_a_curved_edge_equals_pyhgfs(x64):
    """Two inputs of one state, a tanh above it, one volatility parent of two nodes."""
    net = HGF(
        {"u0": Continuous(1e2), "u1": Continuous(1e2), "x2": State(0.0, 1.0, -3.0)}
        | {"x3": State(0.2, 1.0, -4.0), "x4": State(0.0, 2.0, -3.0)},
        {"x2>u0": Value(), "x2>u1": Value(0.5), "x3>x2": Value(0.3, jnp.tanh)}
        | {"x4>x2": Volatility(), "x4>x3": Volatility(0.5)},
        Enhanced(bounded=False),
    )
    y = follow(net, jnp.asarray(np.stack([SERIES, 0.5 * SERIES + 0.1 * np.cos(K)], 1)))
    data = recorded()
    for node in (2, 3, 4):
        for quantity in ("mean", "precision"):
            ours = getattr(y.nodes[f"x{node}"], quantity)[9::10]
            np.testing.assert_allclose(ours, data[f"graph.eHGF|{node}.{quantity}"], rtol=1e-9)


def test_the_switching_learner_is_a_hidden_markov_model(x64):
    u = (np.random.default_rng(0).random(60) < 0.6).astype(float)
    e, h = 0.8, 0.1
    p = predictions(Switching(h, e), jnp.asarray(u))
    move = jnp.array([[1 - h, h], [h, 1 - h]])
    hidden = HMM([0.5, 0.5], move, Categorical([[e, 1 - e], [1 - e, e]]))
    _, belief = run(hidden, start(hidden, 1.0, jr.key(0)), jnp.asarray(u, int))
    evidence = np.where(u > 0.5, np.log(p), np.log1p(-p))
    np.testing.assert_allclose(evidence, belief.log_evidence, atol=1e-12)


def test_a_fixed_rate_forgets_exponentially(x64):
    p = predictions(RescorlaWagner(0.25), jnp.ones(8))
    np.testing.assert_allclose(p, 1 - 0.5 * 0.75 ** np.arange(8), rtol=1e-12)


def test_subjects_choose_as_they_believe():
    settings = STUDY.scales["smoke"] | dict(subjects=40, trials=100)
    data = jax.jit(lambda key: draw(key, settings))(jr.key(0))
    assert data["u"].shape == data["choices"].shape == (40, 2, 100)
    odds = data["beta"][:, None, None] * (jnp.log(data["p"]) - jnp.log1p(-data["p"]))
    gap = np.asarray(data["choices"] - jax.nn.sigmoid(odds))
    assert abs(gap.mean()) < 4 * 0.5 / np.sqrt(gap.size)
    assert -5 < float(data["omega"].min()) < float(data["omega"].max()) < -1


def test_scores_of_what_is_known():
    true = np.array([-4.0, -3.0, -2.0])
    history = {"omega": [2 * true], "true_omega": [true], "heldout": [np.array([-0.5, -0.3, -0.4])]}
    found = score({}, history | {"beta": [np.exp(true)], "true_beta": [np.exp(-true)]})
    np.testing.assert_allclose([found["r-omega"], found["r-beta"]], [1.0, -1.0])
    np.testing.assert_allclose(found["heldout"], -0.4)
    box = {"low": [np.zeros((2, 2))], "high": [np.ones((2, 2))], "r_hat": [np.ones((2, 2))]}
    found = score({}, box | {"true": [np.array([[0.5, 2.0], [0.1, 0.9]])]})
    assert found == {"coverage": 0.75, "r-hat": 1.0}


def test_settings_without_sense_are_refused():
    check(STUDY.scales["small"])
    for change, says in ((dict(subjects=2), "3 subjects"), (dict(reliability=0.5), "between 0.5")):
        with pytest.raises(ValueError, match=says):
            check(STUDY.scales["small"] | change)
