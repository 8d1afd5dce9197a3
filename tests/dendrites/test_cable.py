"""The cable on a tree: closed forms of Rall's cable, charge, order in dt and dx, spikes."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.core import Drive, Vmapped, run, start
from neuropil.dendrites import (
    SOMA,
    Cable,
    Channel,
    CorticalPotassium,
    CorticalSodium,
    Neuron,
    SquidPotassium,
    SquidSodium,
    Tree,
)

LENGTH, WIDE = 600.0, 2.0
LEAK, AXIAL, CM = 0.1, 150.0, 1.0  # mS/cm2, ohm cm, uF/cm2: tau = 10 ms
LAMBDA = 1e4 * np.sqrt(WIDE * 1e-4 / 4 * (1e3 / LEAK) / AXIAL)  # um


def cylinder(n, scheme="backward-euler", v=-65.0, leak=LEAK):
    return Cable(
        Tree.cylinder(LENGTH, WIDE, n), CM, leak, AXIAL, leak_reversal=0.0, start_v=v, scheme=scheme
    )


def middles(n):
    return (np.arange(n) + 0.5) * LENGTH / n


def test_steady_state_of_a_sealed_cylinder_is_a_cosh_and_of_order_two_in_dx(x64):
    """Current into one end: V(x) = I R_inf cosh((L - x) / lambda) / sinh(L / lambda)."""
    per_um = AXIAL / (np.pi / 4 * WIDE**2) / 100  # MOhm / um
    worst = []
    for n in (10, 20):
        cable = cylinder(n, v=0.0)
        np.testing.assert_allclose(cable.space_constant(), LAMBDA, rtol=1e-12)
        current = jnp.zeros((1, n)).at[0, 0].set(0.1)
        # one implicit tick that is far longer than every time constant
        _, v = run(cable, start(cable, 1e9, jr.key(0)), current)
        far = np.cosh((LENGTH - middles(n)) / LAMBDA) / np.sinh(LENGTH / LAMBDA)
        want = 0.1 * per_um * LAMBDA * far
        worst.append(np.abs(v[0] - want).max() / want.max())
    assert worst[0] < 2e-3
    assert worst[0] / worst[1] == pytest.approx(4, rel=0.05)


def test_equalising_time_constants_and_order_in_dt(x64):
    """cos(k pi x / L) decays with tau_k = tau / (1 + (k pi lambda / L)^2); order 1, and 2."""
    n, ends, tau = 60, {}, CM / LEAK
    for k, scheme in ((1, "backward-euler"), (1, "crank-nicolson"), (2, "crank-nicolson")):
        shape = np.cos(k * np.pi * middles(n) / LENGTH)
        fine = 4 * np.sin(k * np.pi / (2 * n)) ** 2 * (n * LAMBDA / LENGTH) ** 2
        errors = []
        for dt in (0.1, 0.05):
            cable = cylinder(n, scheme, v=shape)
            v = run(cable, start(cable, dt, jr.key(0)), n=round(1 / dt))[1][-1]
            np.testing.assert_allclose(v, shape * float(v[0] / shape[0]), atol=1e-12)
            errors.append(abs(float(v[0]) / shape[0] - np.exp(-1 / tau * (1 + fine))))
        ends[scheme, k] = np.log2(errors[0] / errors[1]), v[0] / shape[0]
    assert ends["backward-euler", 1][0] == pytest.approx(1, abs=0.1)
    assert ends["crank-nicolson", 1][0] == pytest.approx(2, abs=0.05)
    for k in (1, 2):
        tau_k = tau / (1 + (k * np.pi * LAMBDA / LENGTH) ** 2)
        assert ends["crank-nicolson", k][1] == pytest.approx(np.exp(-1 / tau_k), rel=0.04)


@pytest.mark.parametrize("scheme", ["backward-euler", "crank-nicolson"])
def test_charge_is_conserved_without_leak(scheme, x64):
    tree = Tree.star(3, 120.0, 1.0, 2, soma=15.0)
    cable = Cable(tree, CM, 0.0, AXIAL, start_v=0.0, scheme=scheme)
    current = jr.normal(jr.key(0), (12, tree.n))
    _, v = run(cable, start(cable, 0.5, jr.key(0)), current)
    capacity = np.asarray(tree.area()) * CM * 1e-5  # nF
    held = np.asarray(v) @ capacity
    np.testing.assert_allclose(held, 0.5 * np.cumsum(np.asarray(current).sum(1)), rtol=1e-10)


def test_a_conductance_pulls_an_isolated_compartment_to_its_reversal(x64):
    """One compartment: v = (g_leak E_leak + g E) / (g_leak + g) after long, and tau of both on the way."""
    cable = Cable(Tree((-1,), 20.0, 20.0), CM, LEAK, scheme="crank-nicolson")
    own = np.pi * 400 * LEAK * 1e-5
    x = Drive(jnp.full((2000, 1), 0.01 * -10.0), jnp.full((2000, 1), 0.01))
    _, v = run(cable, start(cable, 0.05, jr.key(0)), x)
    end = (own * -65 + 0.01 * -10) / (own + 0.01)
    tau = np.pi * 400 * CM * 1e-5 / (own + 0.01)
    want = end + (-65 - end) * np.exp(-0.05 * np.arange(1, 2001) / tau)
    np.testing.assert_allclose(v[:, 0], want, atol=5e-3)  # of 55 mV, dt / tau = 0.04


def hodgkin_huxley(current, dt, steps):
    """The squid axon by small explicit steps of order 4, in numpy (uA/cm2, mV, ms)."""

    def slope(y):
        v, m, h, n = y
        am, bm = 0.1 * (v + 40) / -np.expm1(-(v + 40) / 10), 4 * np.exp(-(v + 65) / 18)
        ah, bh = 0.07 * np.exp(-(v + 65) / 20), 1 / (1 + np.exp(-(v + 35) / 10))
        an, bn = 0.01 * (v + 55) / -np.expm1(-(v + 55) / 10), 0.125 * np.exp(-(v + 65) / 80)
        dv = current + 120 * m**3 * h * (50 - v) + 36 * n**4 * (-77 - v) + 0.3 * (-54.387 - v)
        return np.array([dv, am - (am + bm) * m, ah - (ah + bh) * h, an - (an + bn) * n])

    y, out = np.array([-65.0, 0.052932, 0.596121, 0.317677]), []
    for _ in range(steps):
        a = slope(y)
        b = slope(y + dt / 2 * a)
        c = slope(y + dt / 2 * b)
        d = slope(y + dt * c)
        y = y + dt / 6 * (a + 2 * b + 2 * c + d)
        out.append(y[0])
    return np.array(out)


def test_action_potentials_of_the_squid_axon_against_a_reference_integrator(x64):
    reference = hodgkin_huxley(10.0, 0.01, 3000)  # 30 ms
    channels = {
        "na": Channel(SquidSodium(), 120.0, 50.0),
        "k": Channel(SquidPotassium(), 36.0, -77.0),
    }
    tree, dt = Tree((-1,), 20.0, 20.0), 0.02
    cable = Cable(tree, CM, 0.3, 100.0, -54.387, -65.0, channels, "crank-nicolson")
    current = jnp.full((1500, 1), 10.0 * np.pi * 400 * 1e-5)
    v = np.asarray(run(cable, start(cable, dt, jr.key(0)), current)[1][:, 0])
    crossings = lambda a: np.flatnonzero((a[1:] > 0) & (a[:-1] <= 0))
    ours, theirs = crossings(v) * dt, crossings(reference) * 0.01
    assert len(ours) == len(theirs) == 2
    np.testing.assert_allclose(ours, theirs, atol=2 * dt)
    assert np.abs(v - reference[1::2]).max() < 6  # mV, of a spike that rises 100 mV in half a ms


def test_cortical_soma_fires_and_backpropagates_into_a_passive_branch():
    tree = Tree.star(1, 100.0, 2.0, 4)
    soma = tree.of_kind(SOMA)
    channels = {
        "na": Channel(CorticalSodium(), 50 * soma, 50.0),
        "k": Channel(CorticalPotassium(), 5 * soma, -90.0),
    }
    cell = Neuron(Cable(tree, leak=0.1, leak_reversal=-70.0, start_v=-70.0, channels=channels))
    current = jnp.zeros((2000, 5)).at[200:1800, 0].set(0.25)
    record = {"spikes": "output", "v": "v"}
    _, out = run(cell, start(cell, 0.05, jr.key(0)), current, record=record)
    v, spikes = np.asarray(out["v"]), np.asarray(out["spikes"])
    crossings = (v[1:, 0] > -20) & (v[:-1, 0] <= -20)
    np.testing.assert_array_equal(spikes[1:], crossings)
    assert 2 < spikes.sum() < 40
    assert spikes[:200].sum() == spikes[-150:].sum() == 0
    assert v[:, 0].max() > 10
    peaks = v.max(0)
    assert (np.diff(peaks) < 0).all()  # the spike gets smaller with distance
    assert peaks[-1] > -40


def test_integrate_and_fire_soma_has_the_interval_of_its_closed_form(x64):
    """tau ln((R I - v_reset) / (R I - theta)) + refractory, from v_rest = 0."""
    cable = Cable(Tree((-1,), 20.0, 20.0), CM, LEAK, 100.0, 0.0, 0.0, scheme="crank-nicolson")
    resistance = 1 / (np.pi * 400 * LEAK * 1e-5)
    cell = Neuron(cable, threshold=15.0, reset=2.0, refractory=3.0)
    current = jnp.full((4000, 1), 20.0 / resistance)
    _, s = run(cell, start(cell, 0.05, jr.key(0)), current)
    want = 10 * np.log((20 - 2) / (20 - 15)) + 3
    np.testing.assert_allclose(np.diff(np.flatnonzero(s)) * 0.05, want, atol=0.11)


@pytest.mark.slow
def test_a_population_and_gradients_of_every_parameter(x64):
    def make(key):
        return Cable(Tree.star(2, 100.0, 1.0, 2), leak=0.05 + 0.1 * jr.uniform(key))

    cells = Vmapped.build(make, 3, jr.key(0))
    current = jnp.zeros((20, 3, 5)).at[:, :, 4].set(0.05)

    @jax.jit
    def value(part):
        return jnp.sum(run(part, start(cells, 1.0, jr.key(0)), current)[1][-1, :, 0])

    slope = jax.grad(value)(cells)
    up, down = (
        jax.tree.map(
            lambda a, g, e=e: a + e * g / jnp.linalg.norm(g), cells.part.leak, slope.part.leak
        )
        for e in (1e-6, -1e-6)
    )
    moved = lambda leak: value(jax.tree.unflatten(jax.tree.structure(cells), [
        leak if a is cells.part.leak else a for a in jax.tree.leaves(cells)
    ]))  # fmt: skip
    assert float(moved(up) - moved(down)) / 2e-6 == pytest.approx(
        float(jnp.linalg.norm(slope.part.leak)), rel=1e-5
    )
    for g in (slope.part.tree.length, slope.part.tree.diameter, slope.part.resistivity):
        assert np.abs(g).max() > 0


def test_bad_shapes_and_settings_are_refused():
    tree = Tree.cylinder(100.0, 1.0, 3)
    with pytest.raises(ValueError, match="leak has shape"):
        Cable(tree, leak=[0.1, 0.2])
    with pytest.raises(ValueError, match="density has shape"):
        Cable(tree, channels={"na": Channel(SquidSodium(), [1.0, 2.0], 50.0)})
    with pytest.raises(ValueError, match="site"):
        Neuron(Cable(tree), site=3)
