"""The laws of composition, as properties of random learners and random diagrams, in float64."""

import itertools

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuropil.core import Managed, System, run, start
from neuropil.learn.learners import (
    AsSystem,
    Beside,
    Descender,
    Identity,
    Tied,
    as_managed,
    series,
)
from neuropil.learn.wiring_diagram import Diagram, LinearSystem, Wired, beside, box

few = settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
signals = st.sampled_from(["target", "cotangent"])
seeds = st.integers(0, 2**16)
widths = st.lists(st.integers(1, 5), min_size=3, max_size=6)


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def tanh_layer(p, a):
    return jnp.tanh(p["w"] @ a + p["b"])


def layers(seed, sizes, signal, rate=0.05):
    rng = np.random.default_rng(seed)
    draw = lambda *shape: jnp.asarray(rng.normal(size=shape))
    return [
        Descender(tanh_layer, {"w": draw(b, a) / np.sqrt(a), "b": 0.1 * draw(b)}, rate, signal)
        for a, b in itertools.pairwise(sizes)
    ]


def vectors(seed, *sizes):
    rng = np.random.default_rng(seed + 1)
    return [jnp.asarray(rng.normal(size=n)) for n in sizes]


def bracketings(parts):
    """Every way to put a list in series (Catalan many)."""
    if len(parts) == 1:
        return [parts[0]]
    cuts = range(1, len(parts))
    pairs = [(a, b) for k in cuts for a in bracketings(parts[:k]) for b in bracketings(parts[k:])]
    return [a >> b for a, b in pairs]


def flat(tree):
    """All numbers of a nested result in order, whatever the brackets."""
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)])


def reaction(learner, a, signal):
    return [flat(x) for x in learner.react(learner.start(), a, signal)]


def agree(one, other, atol=1e-12):
    for x, y in zip(one, other, strict=True):
        np.testing.assert_allclose(x, y, atol=atol)


@few
@given(seed=seeds, sizes=widths, signal=signals)
def test_series_is_associative_over_every_bracketing(seed, sizes, signal):
    parts = layers(seed, sizes, signal)
    a, s = vectors(seed, sizes[0], sizes[-1])
    ways = bracketings(parts)
    assert len(ways) == [1, 1, 2, 5, 14][len(parts) - 1]
    first = reaction(ways[0], a, s)
    for way in ways[1:]:
        agree(reaction(way, a, s), first)


@few
@given(seed=seeds, sizes=widths, signal=signals)
def test_the_identity_is_a_unit(seed, sizes, signal):
    whole = series(*layers(seed, sizes, signal))
    a, s = vectors(seed, sizes[0], sizes[-1])
    plain = reaction(whole, a, s)
    agree(reaction(Identity() >> whole, a, s), plain, 0)
    agree(reaction(whole >> Identity(), a, s), plain, 0)
    assert flat((Identity() >> whole).start()).size == flat(whole.start()).size
    np.testing.assert_array_equal(flat(Identity().react((), a, a)), flat((a, a)))


@few
@given(seed=seeds, sizes=st.lists(st.integers(1, 4), min_size=6, max_size=6), signal=signals)
def test_series_and_parallel_interchange(seed, sizes, signal):
    """(f | g) >> (h | k) = (f >> h) | (g >> k)."""
    (f, h), (g, k) = layers(seed, sizes[:3], signal), layers(seed + 7, sizes[3:], signal)
    x, y, s, r = vectors(seed, sizes[0], sizes[3], sizes[2], sizes[5])
    one, other = (f | g) >> (h | k), (f >> h) | (g >> k)
    b, p, asked = one.react(one.start(), (x, y), (s, r))
    c, q, asked_too = other.react(other.start(), (x, y), (s, r))
    agree([flat(b), flat(asked)], [flat(c), flat(asked_too)])
    agree([flat((p[0][0], p[1][0], p[0][1], p[1][1]))], [flat(q)])
    assert isinstance(other, Beside)


@few
@given(seed=seeds, sizes=widths, signal=signals)
def test_a_composite_of_descenders_is_the_descender_of_the_composite(seed, sizes, signal):
    rate = 0.05
    parts = layers(seed, sizes, signal, rate)
    a, s = vectors(seed, sizes[0], sizes[-1])

    def composite(ps, a):
        for p in ps:
            a = tanh_layer(p, a)
        return a

    whole = Descender(composite, [part.start() for part in parts], rate, signal)
    agree(reaction(series(*parts), a, s), reaction(whole, a, s))

    def error(ps, a):
        y = composite(ps, a)
        return ((y - s) ** 2).sum() / 2 if signal == "target" else y @ s

    dp, da = jax.grad(error, (0, 1))(whole.start(), a)
    step = jax.tree.map(lambda p, d: p - rate * d, whole.start(), dp)
    request = a - da if signal == "target" else da
    agree(reaction(series(*parts), a, s)[1:], [flat(step), flat(request)])


def test_a_linear_layer_by_hand():
    w, a, b = jnp.array([[2.0]]), jnp.array([1.0]), jnp.array([0.0])
    line = Descender(lambda w, a: w @ a, w, 0.1, "target")
    np.testing.assert_allclose(line.update(w, a, b), [[1.8]])
    np.testing.assert_allclose(line.request(w, a, b), [-3.0])
    still = Descender(lambda w, a: w @ a, w, 0.0, "target")
    np.testing.assert_array_equal(still.update(w, a, b), w)
    np.testing.assert_array_equal(still.request(w, a, b), [-3.0])


def test_cotangents_carry_any_loss():
    """Cross-entropy at the end, which the target convention cannot express."""
    sizes = [5, 4, 3]
    parts = layers(3, sizes, "cotangent")
    (a,) = vectors(3, 5)
    whole = series(*parts)

    def loss(p):
        return -jax.nn.log_softmax(whole.implement(p, a))[1]

    g = jax.grad(lambda y: -jax.nn.log_softmax(y)[1])(whole.implement(whole.start(), a))
    step = jax.tree.map(lambda p, d: p - 0.05 * d, whole.start(), jax.grad(loss)(whole.start()))
    agree([flat(whole.update(whole.start(), a, g))], [flat(step)])


def test_the_request_uses_the_parameters_from_before():
    """The usual wrong order is wrong by order rate: a loose bound at a small rate would hide it."""
    for rate in (0.1, 0.01):
        f, g = layers(5, [4, 4, 3], "target", rate)
        a, s = vectors(5, 4, 3)
        b = f.implement(f.start(), a)
        wrong = g.request(g.update(g.start(), b, s), b, s)
        right = g.request(g.start(), b, s)
        away = float(jnp.linalg.norm(wrong - right) / jnp.linalg.norm(right))
        assert 0.1 * rate < away < 10 * rate
        agree(
            [flat((f >> g).request((f.start(), g.start()), a, s))],
            [flat(f.request(f.start(), a, right))],
        )


def test_a_shared_parameter_is_owned_by_one_who_adds_the_changes():
    (layer,) = layers(2, [4, 4], "target")
    a, s = vectors(2, 4, 4)
    twice = Tied(layer >> layer, lambda p: (p, p), layer.start())

    def error(p):
        return ((tanh_layer(p, tanh_layer(p, a)) - s) ** 2).sum() / 2

    step = jax.tree.map(lambda p, d: p - 0.05 * d, layer.start(), jax.grad(error)(layer.start()))
    agree([flat(twice.update(twice.start(), a, s))], [flat(step)])


def test_a_learner_is_a_system_in_three_ways():
    """Called directly, as one system, and as two nested ones: the same trajectory; resuming changes nothing."""
    whole = series(*layers(11, [3, 4, 2], "target"))
    rng = np.random.default_rng(0)
    xs = (jnp.asarray(rng.normal(size=(30, 3))), jnp.asarray(rng.normal(size=(30, 2))))
    p, react = whole.start(), jax.jit(lambda p, a, s: whole.react(p, a, s))
    for a, s in zip(*xs, strict=True):
        p = react(p, a, s)[1]
    system = AsSystem(whole)
    carry, (bs, requests) = run(system, start(system, 1.0, jr.key(0)), xs)
    assert bs.shape == (30, 2)
    assert requests.shape == (30, 3)
    agree([flat(carry.state)], [flat(p)], 1e-13)
    nested = as_managed(whole)
    outer, (cs, _) = run(nested, start(nested, 1.0, jr.key(0)), xs)
    agree([flat(outer.state.theta), flat(cs)], [flat(p), flat(bs)], 1e-13)
    half = jax.tree.map(lambda x: x[:15], xs), jax.tree.map(lambda x: x[15:], xs)
    middle, _ = run(system, start(system, 1.0, jr.key(0)), half[0])
    there, _ = run(system, middle, half[1])
    agree([flat(there.state)], [flat(carry.state)], 0)


def test_momentum_as_an_outer_system_is_optax():
    whole = series(*layers(4, [3, 4, 2], "target", rate=1.0))

    class Momentum(System):
        def init(self, dt, key):
            return jax.tree.map(jnp.zeros_like, whole.start())

        def step(self, velocity, event, tick):
            slope = jax.tree.map(jnp.subtract, event.theta, whole.update(event.theta, *event.x))
            velocity = jax.tree.map(lambda v, g: 0.9 * v + g, velocity, slope)
            return velocity, jax.tree.map(lambda p, v: p - 0.05 * v, event.theta, velocity)

    rng = np.random.default_rng(0)
    xs = (jnp.asarray(rng.normal(size=(100, 3))), jnp.asarray(rng.normal(size=(100, 2))))
    system = Managed(as_managed(whole).fast, Momentum(), owns="p")
    carry, _ = run(system, start(system, 1.0, jr.key(0)), xs)
    tx = optax.sgd(0.05, momentum=0.9)

    def step(now, x):
        p, opt = now
        error = lambda p: ((whole.implement(p, x[0]) - x[1]) ** 2).sum() / 2
        change, opt = tx.update(jax.grad(error)(p), opt)
        return (optax.apply_updates(p, change), opt), None

    (p, _), _ = jax.lax.scan(step, (whole.start(), tx.init(whole.start())), xs)
    agree([flat(carry.state.theta)], [flat(p)])


def linear(rng, n, m, k):
    draw = lambda *s: jnp.asarray(0.4 * rng.normal(size=s))
    return LinearSystem(draw(n, n), draw(n, m), draw(k, n))


def diagram(rng, boxes, into, out):
    inputs, outputs = sum(b[0] for b in boxes), sum(b[1] for b in boxes)
    draw = lambda *s: jnp.asarray(0.5 * rng.normal(size=s))
    return Diagram(draw(inputs, outputs), draw(inputs, into), draw(out, outputs))


@few
@given(seed=seeds)
def test_nested_wiring_is_the_flat_wiring(seed):
    """Three systems, the first two wired into one, that wired with the third: once nested, once flat."""
    rng = np.random.default_rng(seed)
    s1, s2, s3 = linear(rng, 3, 2, 2), linear(rng, 2, 1, 3), linear(rng, 4, 2, 1)
    inner = diagram(rng, [(2, 2), (1, 3)], into=2, out=2)
    outer = diagram(rng, [(2, 2), (2, 1)], into=3, out=2)
    nested = outer.wire(beside(inner.wire(beside(s1, s2)), s3))
    once = outer.around(inner, box(2, 1)).wire(beside(s1, s2, s3))
    agree([nested.A, nested.B, nested.C], [once.A, once.B, once.C])
    same = outer.around(box(2, 2), box(2, 1))
    agree([same.inner, same.inward, same.outward], [outer.inner, outer.inward, outer.outward], 0)


class Still(System):
    """An outer system that leaves the wiring as it is."""

    def init(self, dt, key):
        return ()

    def step(self, state, event, tick):
        return state, event.theta


def test_wired_boxes_are_the_composite_also_where_the_wiring_is_owned():
    rng = np.random.default_rng(0)
    boxes = beside(linear(rng, 3, 2, 2), linear(rng, 2, 1, 3))
    d = diagram(rng, [(2, 2), (1, 3)], into=2, out=2)
    vs = jnp.asarray(rng.normal(size=(20, 2)))
    whole, wired = d.wire(boxes), Wired(boxes, d)
    _, zs = run(whole, start(whole, 1.0, jr.key(0)), vs)
    _, traffic = run(wired, start(wired, 1.0, jr.key(0)), vs)
    agree([traffic["shown"]], [zs])
    owned = Managed(wired, Still(), "diagram.inner", {"y": "output.y", "u": "output.u"})
    _, same = run(owned, start(owned, 1.0, jr.key(0)), vs)
    agree([same["shown"]], [traffic["shown"]], 0)  # to the bit
