"""hippocampal-cam: what is drawn, how it is rated, and the session of the spiking memory at smoke.

The paper's own first experiment, spike by spike, is in tests/memory/test_cam.py."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.core import advance, start
from neuropil.papers.build import _hippocampal_cam as page
from neuropil.papers.build.hippocampal_cam import STUDY, check


def row(active, stored=16):
    whole = (jnp.int32(active), jnp.int32(stored), jnp.int32(10), jnp.int32(10))
    return page.Row(*whole, jnp.asarray(0.0), jnp.asarray(0.0))


@pytest.mark.parametrize("active", [0, 3])
def test_memories_have_the_cells_they_should(active):
    m = page.draw(row(active), 16, 32, jr.key(0))
    count = active or 2
    assert (m.first.sum(1) == count).all()
    assert (m.later.sum(1) == count).all()
    assert (m.fragments.sum(-1) == np.array([1, 2, -(-count // 2)])[:, None]).all()
    assert (m.fragments <= m.first[None]).all()
    if not active:
        assert (m.first.sum(0) == 1).all()  # disjoint, and so they are after half is learned anew
        assert (m.final.sum(0) == 1).all()
    few = page.draw(row(active, 4), 16, 32, jr.key(0))
    assert float(few.first[4:].sum() + few.later[4:].sum()) == 0


def test_ratings_of_an_exact_and_of_a_never_forgetting_memory():
    m = page.draw(row(10), 16, 32, jr.key(1))
    exact = page.rate(m, page.Dictionary()(m, row(10), jr.key(2)))
    for name in ("exact", "by_cue", "by_content", "includes", "overwritten", "kept"):
        assert float(exact[name]) == 1.0
    assert float(exact["old_left"]) == 0.0
    assert float(exact["first"]) == pytest.approx(float(exact["chance_first"]))
    willshaw = page.rate(m, page.Willshaw()(m, row(10), jr.key(2)))
    assert float(willshaw["overwritten"]) == 0.0
    assert float(willshaw["old_left"]) == 1.0
    assert float(willshaw["kept"]) == 1.0
    assert float(willshaw["exact"]) == pytest.approx(1 - 8 / 80)
    assert float(willshaw["first"]) > float(exact["first"])  # its sums tell how much is shared


def test_projection_recalls_disjoint_contents_by_cue():
    m = page.draw(row(0), 16, 32, jr.key(3))
    rates = page.rate(m, page.Projection()(m, row(0), jr.key(0)))
    assert float(rates["by_cue"]) == 1.0


@pytest.mark.slow
def test_the_spiking_session_and_its_switches():
    """Smoke: exact; without depression the old content stays, without A+ there is nothing."""
    settings = STUDY.scales["smoke"]
    step = eqx.filter_jit(lambda system, carry: advance(system, carry, None)[1])
    out = {}
    for name in ("cam", "gated", "no-depression", "unlearned"):
        system = STUDY.arms[name].build(settings, None)
        out[name] = jax.tree.map(np.asarray, step(system, start(system, 1.0, jr.key(5))))
    main = slice(0, len(settings["active"]))
    for name in ("by_cue", "by_one", "overwritten", "kept"):
        assert (out["cam"][name][main] == 1).all(), name
    assert (out["gated"]["exact"][main] == 1).all()
    assert (out["no-depression"]["by_cue"][main] == 1).all()
    assert (out["no-depression"]["old_left"][main] > 0.9).all()
    assert (out["unlearned"]["by_cue"] == 0).all()
    assert (out["cam"]["exact"] <= out["gated"]["exact"] + 1e-6)[main].all()
    scores = STUDY.score(settings, {k: v[None] for k, v in out["gated"].items()})
    assert set(scores) == set(STUDY.metrics)
    assert scores["exact"] == 1.0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"cues": 3}, "even number"),
        ({"cues": 20}, "even number"),
        ({"draws": 0}, "draws"),
        ({"active": (0, 40)}, "0 to 32"),
        ({"active": (3, 10)}, "begins with 0"),
        ({"stress_active": 5}, "one of active"),
        ({"stored": (20,)}, "1 to 16"),
        ({"gaps": (2,)}, "burst"),
        ({"lost": (1.5,)}, "shares"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, says):
    check(STUDY.scales["small"])
    with pytest.raises(ValueError, match=says):
        check(STUDY.scales["small"] | change)
