"""Every public System through the same checks.

What is compiled is kept to three small functions an example: alone, under vmap, and half of the ticks.
"""

import dataclasses
import functools
import importlib
import importlib.util
import inspect
import io
import itertools
import pkgutil

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.core import (
    RK4,
    SEEDS,
    AccuracyWarning,
    Carry,
    System,
    Vmapped,
    get,
    probe,
    run,
    start,
    walk,
)
from neuropil.core.param import param_fields
from neuropil.core.random import tick_keys
from neuropil.core.system import Tick
from neuropil.learn import LEARNERS
from tests.contract.examples import ABSTRACT, EXAMPLES, TICKS, Converges, learn

PACKAGES = "core cells synapses wiring coding dendrites blocks plasticity memory belief agents learn".split()
HALF = TICKS // 2
each = pytest.mark.parametrize("name", EXAMPLES)
# Many seconds each, and another of their family is gone through by default; CI runs these after the suite.
LONG = {
    *("learners", "real-time recurrent learning", "snap-1", "uoro", "synthetic gradients", "ppo"),
    *(
        "hgf_graph",
        "unscented_kalman",
        "extended_kalman",
        "swimmer",
        "episodic",
        "replay, reservoir",
    ),
    *(
        "triplet stdp",
        "pair stdp, sparse",
        "rewire",
        "homeostat of a rule",
        "oja",
        "dense by events",
    ),
    *("kalman", "synchronisation", "truncated backpropagation", "neural memory"),
    *("temporal memory", "hodgkin-huxley", "discriminative_kalman", "elm with branches", "e-prop"),
    *("adaptive exponential IF", "replay, prioritised", "hgf", "cable", "lif of all parts"),
}
assert set(EXAMPLES) >= LONG, LONG - set(EXAMPLES)
each_or_slow = pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in LONG else n for n in EXAMPLES]
)


def public_systems():
    """Every public class in the packages that is a System."""
    found = set()
    for package in PACKAGES:
        if importlib.util.find_spec(f"neuropil.{package}") is None:
            continue
        root = importlib.import_module(f"neuropil.{package}")
        names = [m.name for m in pkgutil.walk_packages(root.__path__, root.__name__ + ".")]
        for module in [root, *map(importlib.import_module, names)]:
            for name, value in vars(module).items():
                own = inspect.isclass(value) and value.__module__ == module.__name__
                if own and issubclass(value, System) and not name.startswith("_"):
                    found.add(value)
    return found


def make(name):
    """(example, part, inputs, carry before the first tick) in the precision of the test."""
    return _make(name, jax.config.jax_enable_x64)


@functools.cache
def _make(name, double):
    example = EXAMPLES[name]
    part = example.make(jr.key(1))
    return example, part, example.xs(), start(part, example.dt, jr.key(3))


def one_tick(xs):
    return jax.tree.map(lambda a: a[0], xs)


def close(a, b, bound, what):
    paths, _ = jax.tree_util.tree_flatten_with_path(a)
    others = jax.tree.leaves(b)
    assert len(paths) == len(others), what
    for (path, p), q in zip(paths, others, strict=True):
        message = f"{what}{jax.tree_util.keystr(path)}"
        assert p.shape == q.shape, message
        assert p.dtype == q.dtype, message
        if is_key(p):
            p, q = jr.key_data(p), jr.key_data(q)
        p, q = np.asarray(p), np.asarray(q)
        largest = np.abs(q[np.isfinite(q)]).max(initial=0)  # some states begin at infinity
        np.testing.assert_allclose(p, q, atol=bound * (1 + largest), rtol=0, err_msg=message)


def test_every_public_system_has_an_example():
    missing = public_systems() - ABSTRACT - {c for e in EXAMPLES.values() for c in e.of}
    assert not missing, (
        f"no example of {sorted(c.__name__ for c in missing)}; add one to tests/contract/examples/"
    )


def test_every_learner_has_an_example():
    assert set(learn.LAYERED) | set(learn.RECURRENT) == set(LEARNERS)
    assert set(learn.RECURRENT.values()) <= set(EXAMPLES)


def test_every_public_system_says_what_it_is():
    for kind in public_systems():
        text = inspect.getdoc(kind) if "__doc__" in vars(kind) else None
        assert len(text or "") > 40, f"{kind.__name__} has no docstring"
        says = any(mark in text for mark in ("$", "Source", ">>>", " = ", "->"))
        assert says, f"{kind.__name__}: the docstring has no equation, source or example"


@each
@pytest.mark.parametrize("bits", [32, 64])
def test_shapes_and_types_are_stable_in_single_and_double_precision(name, bits):
    with jax.enable_x64(bits == 64):
        example, part, xs, carry = make(name)
        assert all(any(isinstance(p, kind) for *_, p in walk(part)) for kind in example.of)
        out = probe(part, one_tick(xs), dt=example.dt)  # init, step and unroll agree
        for leaf in jax.tree.leaves((out, carry.state, eqx.filter(part, eqx.is_array))):
            if jnp.issubdtype(leaf.dtype, jnp.inexact):
                assert leaf.dtype in (f"float{bits}", f"complex{2 * bits}"), leaf
        for path, where, _ in walk(part):
            get(part, path)
            get(carry.state, where)
        if type(part).rest is not System.rest:
            try:
                rest = jax.eval_shape(lambda: jax.tree.map(jnp.asarray, part.rest()))
            except TypeError:
                return  # a part inside does not say what it puts out before the first tick
            kinds = lambda t: [(a.shape, a.dtype) for a in jax.tree.leaves(t)]
            assert kinds(rest) == kinds(out["output"])


def ticks(carry, n):
    i = carry.i + jnp.arange(n, dtype=jnp.int32)
    return Tick(i, carry.dt, tick_keys(carry.key, i))


def jitted(f):
    """Compiled once, and cheaply: small arrays gain nothing from optimised machine code."""
    options = {"xla_backend_optimization_level": 0}

    def call(*args):
        arrays, rest = eqx.partition(args, eqx.is_array)
        if not kept:
            go = lambda arrays: f(*eqx.combine(arrays, rest))
            kept.append(jax.jit(go).lower(arrays).compile(compiler_options=options))
        return kept[0](arrays)

    kept = []
    return call


@each_or_slow
def test_unroll_vmap_remat_resume_and_gradient(name, x64):
    """`unroll` is the scan of `step`, from rest and in mid-run, under `vmap` and remat, saved or not."""
    example, part, xs, first = make(name)
    carries = [first, start(part, example.dt, jr.key(4))]
    stacked = jax.tree.map(stack, *carries)
    stacked = Carry(first.i, first.dt, stacked.key, stacked.state)
    output = probe(part, one_tick(xs), dt=example.dt)["output"]
    rng = np.random.default_rng(5)
    weights = [rng.standard_normal((TICKS, *a.shape)) for a in _inexact(output)]

    @jitted
    def alone(part, carry, xs):
        def slopes(remat):
            def value(moving, rest):
                part, xs = eqx.combine(moving, rest)
                end, ys = run(part, carry, xs, n=TICKS, remat=remat)
                terms = zip(weights, _inexact(ys), strict=True)
                return sum(jnp.sum(w * y) for w, y in terms), (end.state, ys)

            slope = jax.grad(value, has_aux=True)
            return slope(*eqx.partition((part, xs), eqx.is_inexact_array))

        scanned = System.unroll(part, carry.state, xs, ticks(carry, TICKS))
        if example.no_gradient:
            return scanned, part.unroll(carry.state, xs, ticks(carry, TICKS)), (), ()
        plain, whole = slopes(0)
        return scanned, whole, plain, slopes(2)[0]

    @jitted
    def together(part, carries, xs):
        return jax.vmap(lambda c: run(part, c, xs, n=TICKS), (SEEDS,), (SEEDS, 0))(carries)

    half = jitted(lambda part, carry, xs: run(part, carry, xs, n=HALF))
    head, tail = (jax.tree.map(lambda a, s=s: a[s], xs) for s in (slice(HALF), slice(HALF, None)))
    bound = getattr(part, "unroll_bound", 1e-10)
    both = jax.tree.map(keys_or_numpy, together(part, stacked, xs))
    for k, carry in enumerate(carries):
        scanned, whole, plain, remat = alone(part, carry, xs)
        close(whole, scanned, bound, "unroll from rest")
        close(jax.tree.map(lambda a, k=k: a[k], both[0].state), scanned[0], bound, "vmap, state")
        close(jax.tree.map(lambda a, k=k: a[k], both[1]), scanned[1], bound, "vmap, output")
        assert all(np.isfinite(y).all() for y in _inexact(whole[1])), "an output is not finite"
        if not example.no_gradient:
            close(remat, plain, 1e-10, "gradient under remat")
            slopes = jax.tree.leaves(plain)
            assert all(np.isfinite(g).all() for g in slopes), "a gradient is not finite"
            assert any((g != 0).any() for g in slopes) or not slopes, "every gradient is zero"
    middle, first = half(part, carry, head)
    end, second = half(part, middle, tail)
    joined = jax.tree.map(lambda a, b: np.concatenate([a, b]), first, second)
    close((end.state, joined), scanned, bound, "unroll in mid-run")
    close(half(part, through_bytes(middle), tail), (end, second), 0, "resumed")
    assert int(end.i) == TICKS


CONVERGING = [name for name, e in EXAMPLES.items() if isinstance(e.converges, Converges)]
CHECKED = [name for name, e in EXAMPLES.items() if e.coarse]


def test_every_cell_and_synapse_says_how_it_converges_and_which_dt_is_too_coarse():
    own = {c for c in public_systems() if c.__module__.split(".")[1] in ("cells", "synapses")}
    said = {c for e in EXAMPLES.values() if e.converges for c in e.of}
    assert not (missing := own - ABSTRACT - said), f"no example with `converges`: {missing}"
    schemed = {c for c in own if "method" in {f.name for f in dataclasses.fields(c)}}
    said = {c for name in CHECKED for c in EXAMPLES[name].of}
    assert not (missing := schemed - ABSTRACT - said), f"no example with `coarse`: {missing}"


def numbers(tree):
    """Every floating-point leaf but the random numbers held for later ticks."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    named = [(jax.tree_util.keystr(path), a) for path, a in leaves]
    return _inexact([a for path, a in named if not path.endswith("['numbers']")])


@pytest.mark.parametrize("name", CONVERGING)
def test_results_converge_as_the_tick_gets_smaller(name, x64):
    """Each halving of dt changes half as much as the one before (order 1), or less (higher orders)."""
    example = EXAMPLES[name]
    part, how = example.make(jr.key(1)), example.converges
    x = jax.tree.map(jnp.asarray, how.x, is_leaf=lambda a: isinstance(a, list))
    largest = jax.tree.map(lambda a: a.dtype, start(part, how.dt, jr.key(3)).state)

    @jax.jit  # once for all three, where no state has a size that depends on dt
    def end(state, dt, n):
        def tick(i, carry):
            state, total = carry
            now = Tick(i, dt, jr.fold_in(jr.key(5), i))
            here = jax.tree.map(lambda a: jnp.where((i == 0) | (not how.pulse), a, 0 * a), x)
            state, y = part.step(state, here, now)
            add = lambda s, a: s + a if jnp.issubdtype(s.dtype, jnp.floating) else s
            return state, jax.tree.map(add, total, y)

        y = jax.eval_shape(lambda: part.step(state, x, Tick(jnp.int32(0), dt, jr.key(5)))[1])
        none = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), y)
        return jax.lax.fori_loop(0, n, tick, (state, none))

    results = []
    for k in (1, 2, 4):
        dt = how.dt / k
        first = start(part, dt, jr.key(3)).state
        assert jax.tree.map(lambda a: a.dtype, first) == largest
        state, total = end(first, jnp.asarray(dt), round(how.until / dt))
        kept = numbers(total if how.of == "mean" else state)
        scale = dt / how.until if how.of == "mean" else 1.0
        results.append([scale * np.asarray(a) for a in kept])
        before = numbers(first)
    moved = how.of == "mean" or any((a != b).any() for a, b in zip(kept, before, strict=True))
    assert moved, "nothing happened"
    far, near = (
        max(np.abs(a - b).max() for a, b in zip(*pair, strict=True))
        for pair in itertools.pairwise(results)
    )
    largest = max(np.abs(a).max() for a in results[-1])
    assert near <= 0.65 * far + 1e-10 * (1 + largest), (far, near)


@pytest.mark.parametrize("name", CHECKED)
def test_a_coarse_dt_is_warned_of_and_an_unstable_one_refused(name):
    example = EXAMPLES[name]
    part = example.make(jr.key(1))
    with pytest.warns(AccuracyWarning, match="take a smaller dt"):
        start(part, example.coarse, jr.key(3))
    if hasattr(part, "method"):
        with pytest.raises(ValueError, match="is unstable with RK4") as caught:
            start(rebuilt(part, method=RK4()), 10 * example.coarse, jr.key(3))
        assert type(part).__name__ in str(caught.value)


def is_key(a):
    return jnp.issubdtype(a.dtype, jax.dtypes.prng_key)


def stack(a, b):
    return jnp.stack([a, b]) if is_key(a) else np.stack([a, b])


def keys_or_numpy(a):
    return a if is_key(a) else np.asarray(a)


def _inexact(ys):
    return [a for a in jax.tree.leaves(ys) if jnp.issubdtype(a.dtype, jnp.floating)]


def through_bytes(tree):
    """The tree written to a file in memory and read back."""
    leaves, shape = jax.tree.flatten(tree)
    file = io.BytesIO()
    np.savez(file, *[jr.key_data(a) if is_key(a) else a for a in leaves])
    file.seek(0)
    stored = np.load(file)
    read = [jnp.asarray(stored[n]) for n in stored.files]
    wrapped = [jr.wrap_key_data(a) if is_key(b) else a for a, b in zip(read, leaves, strict=True)]
    return jax.tree.unflatten(shape, wrapped)


def rebuilt(part, **changes):
    """The part made anew with other arguments."""
    names = inspect.signature(type(part).__init__).parameters
    given = {f.name: getattr(part, f.name) for f in dataclasses.fields(part) if f.name in names}
    return type(part)(**(given | changes))


@each
def test_parameters_are_declared_and_nonsense_is_refused(name):
    _, whole, _, _ = make(name)
    copies = [path for path, _, part in walk(whole) if isinstance(part, Vmapped)]
    for path, _, part in walk(whole):
        if any(path.startswith(f"{c}.part".strip(".")) for c in copies):
            continue  # its arrays have one axis more than its class allows
        declared = param_fields(part)
        if type(part).__module__.split(".")[0] != "neuropil":
            continue
        for field in dataclasses.fields(part):
            value = getattr(part, field.name)
            if eqx.is_inexact_array(value) and field.name not in EXEMPT:
                assert field.name in declared, f"{field.name} is an array but no param(...)"
        for field, meta in declared.items():
            value = getattr(part, field)
            if value is None:
                continue
            if "tau" in field or field in ("period", "delay"):
                assert meta["unit"] == "ms", field
                assert meta["bounds"][0] is not None, field
            refused(part, field, np.full_like(value, jnp.nan))
            if meta["bounds"][0] is not None:
                refused(part, field, np.full_like(value, meta["bounds"][0] - 1))
            if meta["bounds"][1] is not None:
                refused(part, field, np.full_like(value, meta["bounds"][1] + 1))


EXEMPT = {"rows"}  # of Projected: a subspace, held and never learned


def refused(part, field, value):
    with pytest.raises(ValueError, match=field) as caught:
        rebuilt(part, **{field: value})
    message = str(caught.value)
    assert "\n" not in message
    assert type(part).__name__ in message
