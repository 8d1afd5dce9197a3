"""Izhikevich's cell: the spike times of his 20 patterns, against his script written in NumPy."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.cells import Izhikevich, Noise, izhikevich_pattern, izhikevich_patterns
from neuropil.core import Euler, run, start
from neuropil.core.system import Tick


def on(t, *starts, width):
    return sum(((t > a) & (t < a + width)) for a in starts)


def ramps(t):
    return t / 25 * (t < 200) + 4 * (t - 300) / 12.5 * ((t >= 300) & (t < 312.5))


def dip(t):
    return 80 - 5.0 * ((t >= 50) & (t <= 250))


# a, b, c, d, v at first, dt, duration (ms) and input, as in the script of figure 1 (2004)
SCRIPT = {
    "tonic spiking": (0.02, 0.2, -65, 6, -70, 0.25, 100, lambda t: 14 * (t > 10)),
    "phasic spiking": (0.02, 0.25, -65, 6, -64, 0.25, 200, lambda t: 0.5 * (t > 20)),
    "tonic bursting": (0.02, 0.2, -50, 2, -70, 0.25, 220, lambda t: 15 * (t > 22)),
    "phasic bursting": (0.02, 0.25, -55, 0.05, -64, 0.2, 200, lambda t: 0.6 * (t > 20)),
    "mixed mode": (0.02, 0.2, -55, 4, -70, 0.25, 160, lambda t: 10 * (t > 16)),
    "spike frequency adaptation": (0.01, 0.2, -65, 8, -70, 0.25, 85, lambda t: 30 * (t > 8.5)),
    "class 1": (0.02, -0.1, -55, 6, -60, 0.25, 300, lambda t: 0.075 * (t - 30) * (t > 30)),
    "class 2": (0.2, 0.26, -65, 0, -64, 0.25, 300, lambda t: -0.5 + 0.015 * (t - 30) * (t > 30)),
    "spike latency": (0.02, 0.2, -65, 6, -70, 0.2, 100, lambda t: 7.04 * on(t, 10, width=3)),
    "subthreshold oscillations": (
        *(0.05, 0.26, -60, 0, -62, 0.25, 200),
        lambda t: 2 * on(t, 20, width=5),
    ),
    "resonator": (
        *(0.1, 0.26, -60, -1, -62, 0.25, 400),
        lambda t: 0.65 * on(t, 40, 60, 280, 320, width=4),
    ),
    "integrator": (
        *(0.02, -0.1, -55, 6, -60, 0.25, 100),
        lambda t: 9 * on(t, 100 / 11, 100 / 11 + 5, 70, 80, width=2),
    ),
    "rebound spike": (0.03, 0.25, -60, 4, -64, 0.2, 200, lambda t: -15 * on(t, 20, width=5)),
    "rebound burst": (0.03, 0.25, -52, 0, -64, 0.2, 200, lambda t: -15 * on(t, 20, width=5)),
    "threshold variability": (
        *(0.03, 0.25, -60, 4, -64, 0.25, 100),
        lambda t: on(t, 10, 80, width=5) - 6 * on(t, 70, width=5),
    ),
    "bistability": (
        *(0.1, 0.26, -60, 0, -61, 0.25, 300),
        lambda t: 0.24 + on(t, 300 / 8, 216, width=5),
    ),
    "depolarizing after-potential": (
        *(1, 0.2, -60, -21, -70, 0.1, 50),
        lambda t: 20 * (abs(t - 10) < 1),
    ),
    "accommodation": (0.02, 1, -55, 4, -65, 0.5, 400, ramps),
    "inhibition-induced spiking": (-0.02, -1, -60, 8, -63.8, 0.5, 350, dip),
    "inhibition-induced bursting": (-0.026, -1, -45, -2, -63.8, 0.5, 350, dip),
}


def script(name):
    """Spike times, and the potential at every step."""
    a, b, c, d, v, dt, duration, current = SCRIPT[name]
    linear, constant = (4.1, 108) if name in ("class 1", "integrator") else (5, 140)
    u, times, trace = (-16 if name == "accommodation" else b * v), [], []
    for t in dt * np.arange(round(duration / dt) + 1):
        v = v + dt * (0.04 * v * v + linear * v + constant - u + current(t))
        u = u + dt * a * (b * (v + 65) if name == "accommodation" else b * v - u)
        if v > 30:
            v, u = c, u + d
            times.append(t)
        trace.append(v)
    return np.array(times), np.array(trace)


@pytest.fixture(scope="module")
def ours():
    """{name: (spike times, potential at every step)} of all 20, run as one program."""
    with jax.enable_x64(True):
        names = izhikevich_patterns()
        patterns = [izhikevich_pattern(n) for n in names]
        cells = [p.cell(1, u_start=p.more.get("u_start", p.abcd[1] * p.v_start)) for p in patterns]
        currents = [p.current(1) for p in patterns]
        n = max(map(len, currents))
        xs = np.stack([np.pad(c, ((0, n - len(c)), (0, 0))) for c in currents])

        def alone(cell, dt, xs):
            def body(state, now):
                state, s = cell.step(state, now[1], Tick(now[0], dt, jr.key(0)))
                return state, (s[0], state["v"][0])

            return jax.lax.scan(body, cell.begin(), (jnp.arange(n), xs))[1]

        together = jax.tree.map(lambda *a: jnp.stack(a), *cells)
        dts = np.array([p.dt for p in patterns], float)
        spikes, v = map(np.asarray, jax.jit(jax.vmap(alone))(together, dts, xs))
        result = {}
        for k, name in enumerate(names):
            size = len(currents[k])
            result[name] = np.nonzero(spikes[k, :size])[0] * patterns[k].dt, v[k, :size]
        return result


def test_there_are_the_20_patterns():
    assert izhikevich_patterns() == list(SCRIPT)


@pytest.mark.parametrize("name", SCRIPT)
def test_spike_times_and_traces_are_those_of_the_published_script(name, ours):
    times, trace = script(name)
    np.testing.assert_allclose(ours[name][0], times, atol=1e-9)
    np.testing.assert_allclose(ours[name][1], trace, atol=1e-6)


def test_the_patterns_are_what_they_are_called(ours):
    times = {name: t for name, (t, _) in ours.items()}
    gaps = {name: np.diff(t) for name, t in times.items()}
    assert np.ptp(gaps["tonic spiking"][-2:]) <= 0.25
    for name in ("phasic spiking", "rebound spike", "accommodation", "threshold variability"):
        assert len(times[name]) == 1, name
    assert len(times["phasic bursting"]) > 3
    assert times["phasic bursting"][-1] < 70  # and then silence, though the input stays
    for name in ("tonic bursting", "inhibition-induced bursting"):
        between = gaps[name][gaps[name] > 20]
        assert 1 <= len(between) < len(gaps[name]) / 3, name
    assert gaps["mixed mode"][0] < 4 < 30 < gaps["mixed mode"][-1]
    assert (np.diff(gaps["spike frequency adaptation"]) >= 0).all()
    assert gaps["class 1"][0] > 2.5 * gaps["class 1"][-1]  # from a low rate upwards
    assert gaps["class 2"][0] < 2 * gaps["class 2"][-1]  # starts at a high rate
    assert times["spike latency"][0] > 10 + 3 + 10
    v = ours["subthreshold oscillations"][1]
    turns = np.nonzero(np.diff(np.sign(np.diff(v[200:]))))[0] * 0.25
    np.testing.assert_allclose(np.diff(turns), 28, atol=3)  # half periods, fading
    assert 300 < times["resonator"][0]  # the second pair, in its own period
    assert times["integrator"][-1] < 30  # the close pair
    assert len(times["rebound burst"]) > 3
    assert times["rebound burst"][0] > 25
    assert times["threshold variability"][0] > 80  # only after inhibition
    assert 37.5 < times["bistability"][0]
    assert times["bistability"][-1] < 220
    v = ours["depolarizing after-potential"][1]
    assert v[115:].max() > v[:80].max() + 5
    assert times["accommodation"][0] > 300  # the steep ramp, not the slow one
    for name in ("inhibition-induced spiking", "inhibition-induced bursting"):
        assert 50 < times[name][0] < times[name][-1] < 250, name


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Izhikevich.named("XX", 1), "RS"),
        (lambda: izhikevich_pattern("tonic"), "tonic spiking"),
    ],
)
def test_an_unknown_name_is_answered_with_the_known_ones(make, words):
    with pytest.raises(KeyError, match=words):
        make()


def test_noise_has_no_leak_to_be_measured_by():
    with pytest.raises(ValueError, match="add it to the input"):
        Izhikevich(3, noise=Noise())


def test_a_sequence_of_other_variables_is_refused():
    cells = Izhikevich(1, method=Euler(("v", "w")))
    with pytest.raises(ValueError, match="sequence"):
        run(cells, start(cells, 0.5, jr.key(0)), n=2)
