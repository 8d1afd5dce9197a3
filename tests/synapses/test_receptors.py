"""Receptors and their kinetics against closed forms; gap junctions; short-term plasticity."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from neuropil.cells import LIF, NoReset
from neuropil.core import Chain, Network, To, run, start
from neuropil.synapses import (
    Alpha,
    Conductance,
    DoubleExponential,
    Exponential,
    From,
    GapJunctions,
    MagnesiumBlock,
    Receptor,
    Receptors,
    SecondMessenger,
    TsodyksMarkram,
    TwoState,
    Voltages,
)


def response(part, xs, dt=1.0):
    return np.asarray(run(part, start(part, dt, jr.key(0)), xs)[1])


def pulse(n, *at):
    return jnp.zeros((n, 1)).at[jnp.asarray(at)].set(1.0)


@pytest.mark.parametrize("dt", [0.05, 0.2])
def test_double_exponential_has_its_shape_its_peak_and_its_area(dt, x64):
    rise, decay = 0.4, 3.0
    t = dt * np.arange(400)
    g = lambda t: np.where(t > 0, np.exp(-t / decay) - np.exp(-t / rise), 0)
    peak = rise * decay / (decay - rise) * np.log(decay / rise)
    by_peak = response(DoubleExponential(1, rise, decay), pulse(400, 0), dt)[:, 0]
    np.testing.assert_allclose(by_peak, g(t) / g(peak), atol=1e-12)
    by_area = response(DoubleExponential(1, rise, decay, True), pulse(400, 0), dt)[:, 0]
    np.testing.assert_allclose(by_area, g(t) / (decay - rise), atol=1e-12)
    assert by_area.sum() * dt == pytest.approx(1, abs=0.02)
    alpha = response(Alpha(1, 2.0, unit_area=True), pulse(400, 0), dt)[:, 0]
    assert alpha.sum() * dt == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("dt", [0.25, 1.0, 1.6])  # a pulse of 1 ms ends within a tick of the last
@pytest.mark.parametrize("make", [TwoState.ampa, TwoState.nmda, TwoState.gaba_a])
def test_two_states_bind_and_unbind_exactly_at_any_dt(make, dt, x64):
    synapse = make(1)
    a, b = float(synapse.alpha), float(synapse.beta)
    got = response(synapse, pulse(20, 2), dt)[:, 0]
    end = dt * (np.arange(20) + 1) - 2 * dt  # time since the spike at the end of each tick
    on = np.clip(end, 0, 1)
    bound = a / (a + b) * (1 - np.exp(-on * (a + b)))
    np.testing.assert_allclose(got, bound * np.exp(-b * np.maximum(end - 1, 0)), atol=1e-12)


def test_two_spikes_in_a_row_lengthen_the_pulse_and_saturate(x64):
    synapse = TwoState.gaba_a(1)
    got = response(synapse, jnp.ones((50, 1)))[-1, 0]
    assert got == pytest.approx(5 / 5.18, rel=1e-9)


@pytest.mark.parametrize("dt", [0.1, 0.5])
def test_second_messenger_follows_its_equations(dt, x64):
    synapse = SecondMessenger(1)
    until, at = 60.0, (0.0, 5.0, 10.0)
    got = response(synapse, pulse(round(until / dt), *(round(a / dt) for a in at)), dt)[:, 0]

    def field(t, y):
        on = 0.5 if any(a <= t < a + 0.3 for a in at) else 0.0
        return [0.52 * on * (1 - y[0]) - 0.0013 * y[0], 0.098 * y[0] - 0.033 * y[1]]

    path = solve_ivp(field, (0, until), [0, 0], "DOP853", max_step=0.02, rtol=1e-9, atol=1e-13)
    s = path.y[1, -1]
    assert got[-1] == pytest.approx(s**4 / (s**4 + 100), rel=2e-3)  # the solver's edges of pulses


def test_second_messenger_at_equal_rates_has_a_limit(x64):
    near = [
        response(SecondMessenger(1, decay=0.0013 * (1 + e)), pulse(9, 0))[-1, 0]
        for e in (0.0, 1e-5)
    ]
    assert near[0] == pytest.approx(near[1], rel=1e-4)


def test_magnesium_lets_nmda_currents_through_when_depolarised(x64):
    v = np.array([-80.0, -40.0, 0.0, 20.0])
    share = 1 / (1 + np.exp(-0.062 * v) / 3.57)
    np.testing.assert_allclose(MagnesiumBlock(1.0)(jnp.asarray(v)), share, rtol=1e-12)
    drive = Receptor(4, 0.0, block=MagnesiumBlock(1.0)).drive(jnp.full(4, 2.0), jnp.asarray(v))
    np.testing.assert_allclose(drive.at(jnp.asarray(v)), -2 * share * v, rtol=1e-12)
    np.testing.assert_allclose(MagnesiumBlock(0.0)(jnp.asarray(v)), 1.0)


def test_an_open_receptor_pulls_a_membrane_to_between_leak_and_reversal(x64):
    """Within a tick the leak and the conductance are one exact exponential."""
    cell = LIF(1, tau=10.0, v_rest=-65.0, threshold=0.0)
    both = Receptors(cell, gaba_b=Receptor(1, -95.0), ampa=Receptor(1, 0.0))
    xs = {"gaba_b": jnp.full((30, 1), 0.5), "ampa": jnp.full((30, 1), 0.25)}
    v = run(both, start(both, 1.0, jr.key(0)), xs, record="cell.v")[1][:, 0]
    end = (-65 + 0.5 * -95) / 1.75
    want = end + (-65 - end) * np.exp(-1.75 * np.arange(1, 31) / 10)
    np.testing.assert_allclose(v, want, rtol=1e-12)


def test_an_exponential_receptor_is_the_conductance_of_one_part(x64):
    xs = jr.uniform(jr.key(0), (12, 1))
    both = (Receptor(1, -80.0, Exponential(1, 7.0)), Conductance(1, 7.0, -80.0))
    np.testing.assert_allclose(*(response(part, xs) for part in both), rtol=1e-12)


def test_saturating_synapses_stand_before_the_wiring():
    wire = lambda x: x @ jnp.array([[2.0], [3.0]])
    cell = Receptors(LIF(1, v_rest=-65.0, threshold=0.0), ampa=Receptor(1, 0.0))
    source = lambda x: x
    net = Network(
        {"pre": source, "post": cell},
        {"pre>post": Chain(TwoState.ampa(2), wire, To("ampa"))},
        rest={"pre": jnp.zeros(2)},
    )
    xs = {"pre": jnp.zeros((5, 2)).at[0].set(jnp.array([1.0, 1.0]))}
    v = run(net, start(net, 1.0, jr.key(0)), xs, record="nodes.post.cell.v")[1][:, 0]
    assert v[0] == -65
    assert v[1] > -65


def pair(dt, until):
    """Two passive cells coupled by gap junctions: voltages at the end."""
    cells = Voltages(LIF(2, tau=10.0, v_rest=jnp.array([0.0, 9.0]), threshold=1e9, reset=NoReset()))
    G = jnp.array([[0.0, 0.7], [0.7, 0.0]])
    net = Network({"E": cells}, {"E>E": Chain(From("v"), GapJunctions(G))})
    xs = {"E": jnp.broadcast_to(jnp.array([1.0, 0.0]), (round(until / dt), 2))}
    return run(net, start(net, dt, jr.key(0)), xs)[1]["E"]["v"][-1]


def test_two_coupled_passive_cells_follow_the_matrix_exponential_to_first_order(x64):
    A = np.array([[-1.7, 0.7], [0.7, -1.7]]) / 10.0
    push, begin = np.array([1.0, 9.0]) / 10.0, np.array([0.0, 9.0])
    steady = -np.linalg.solve(A, push)
    want = steady + expm(4.0 * A) @ (begin - steady)
    errors = [np.abs(pair(dt, 4.0) - want).max() for dt in (0.2, 0.1)]
    assert errors[1] < 0.02
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.05)
    np.testing.assert_allclose(pair(0.2, 400.0), steady, atol=1e-9)


def test_voltages_of_a_cell_with_receptors():
    cell = Voltages(Receptors(LIF(2, v_rest=-65.0), ampa=Receptor(2)), at="cell.v")
    np.testing.assert_array_equal(cell.rest()["v"], [-65.0, -65.0])


@pytest.mark.parametrize("regime", ["facilitating", "depressing", "recovering", "working-memory"])
def test_regular_spiking_releases_what_the_closed_form_says(regime, x64):
    synapse, every = TsodyksMarkram.of(1, regime), 20
    xs = jnp.zeros((8000, 1)).at[::every].set(1.0)
    release = response(synapse, xs)[::every, 0]
    assert release[0] == pytest.approx(float(synapse.use))
    assert release[-1] == pytest.approx(float(synapse.steady(every)), rel=1e-6)
    u, x, U = float(synapse.use), 1.0, float(synapse.use)
    f, r = (np.exp(-every / float(t)) for t in (synapse.tau_facilitation, synapse.tau_recovery))
    for n in range(1, 6):  # the recursion of Markram, Wang, Tsodyks (1998)
        u, x = U + (1 - U) * u * f, 1 + (x * (1 - u) - 1) * r
        assert release[n] == pytest.approx(u * x, rel=1e-9)
    assert (release[1] > release[0]) == (regime != "depressing")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DoubleExponential(1, 5.0, 5.0), "below tau_decay"),
        (lambda: DoubleExponential(1, 0.0, 5.0), "above 0"),
        (lambda: TsodyksMarkram.of(1, "steady"), "there are depressing, facilitating"),
        (lambda: TsodyksMarkram(1, use=1.5), "use = 1.5"),
        (lambda: GapJunctions([[-0.1]]), "conductance = -0.1"),
        (lambda: GapJunctions([0.1]), "not \\(post, pre\\)"),
        (lambda: MagnesiumBlock(-1.0), "magnesium = -1 mM"),
        (lambda: TwoState(1, beta=-1.0), "beta = -1"),
    ],
)
def test_nonsense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_gradient_reaches_the_kinetics_and_the_spikes():
    def last(beta, xs):
        return run(s := TwoState(1, 1.1, beta), start(s, 1.0, jr.key(0)), xs)[1].sum()

    slopes = jax.jit(jax.grad(last, (0, 1)))(jnp.float32(0.19), pulse(5, 0))
    assert float(slopes[0]) < 0
    assert float(slopes[1][0, 0]) > 0
