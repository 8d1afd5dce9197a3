"""Event-driven delivery: equal to the matrix, kernel and reference alike, and the matrix is never made."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neuropil import native
from neuropil.core import Batched, run, start
from neuropil.wiring import Sparse
from neuropil.wiring.events import collect, deliver

PRE, POST = 7, 5
rng = np.random.default_rng(0)
DEGREE = np.array([3, 0, 1, 4, 0, 2, 3])  # silent cells, and cells without targets
INDPTR = np.concatenate([[0], np.cumsum(DEGREE)])
TARGET = rng.integers(0, POST, DEGREE.sum())  # some stand twice in a row
WEIGHT = rng.normal(size=DEGREE.sum())
X = rng.normal(size=PRE) * np.array([1, 0, 1, 1, 0, 0, 1])
Y = rng.normal(size=POST)


def matrix(w):
    row = np.repeat(np.arange(PRE), DEGREE)
    return jnp.zeros((POST, PRE)).at[jnp.asarray(TARGET), row].add(w)


def both_ways(w):
    """(delivery and its transpose by events, the same by a matrix) as functions of (input, weight)."""
    target, indptr = jnp.asarray(TARGET, jnp.int32), jnp.asarray(INDPTR, jnp.int32)
    events = lambda x, y, w: (deliver(x, w, target, indptr, POST), collect(y, w, target, indptr))
    dense = lambda x, y, w: (matrix(w) @ x, y @ matrix(w))
    return events, dense


def everything(f, x, y, w):
    """Values, gradient, Hessian and tangent of a nonlinear function of f, and the same under vmap."""
    size = lambda *a: sum(jnp.sin(v).sum() for v in f(*a))
    more = lambda a: jnp.stack([a, 2 * a, 0 * a])
    mapped = lambda axes: jax.vmap(jax.grad(size, (0, 1, 2)), axes)
    over_all = lambda x, y, w: jax.vmap(lambda w: jax.vmap(lambda x: size(x, y, w))(x))(w).sum()
    return {
        "value": f(x, y, w),
        "hessian": jax.hessian(size, (0, 1, 2))(x, y, w),
        "tangent": jax.jvp(size, (x, y, w), (x + 1, y - 1, 2 * w)),
        "over samples": mapped((0, 0, None))(more(x), more(y), w),
        "over weights": mapped((None, None, 0))(x, y, more(w)),
        "nested": jax.grad(over_all, (0, 1, 2))(more(x), y, more(w)),
    }


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("compiled", [True, False])
def test_events_equal_the_matrix_with_all_their_derivatives(x64, shared, compiled):
    if compiled and not native.available("events"):
        pytest.skip("there is no C++ compiler on this machine")
    w = jnp.asarray(0.3 if shared else WEIGHT)
    events, dense = both_ways(w)
    args = (jnp.asarray(X), jnp.asarray(Y), w)
    want = jax.jit(lambda *a: everything(dense, *a))(*args)
    if compiled:
        have = jax.jit(lambda *a: everything(events, *a))(*args)
    else:
        with native.pure():
            have = jax.jit(lambda *a: everything(events, *a))(*args)
    for name in want:
        jax.tree.map(
            lambda a, b, n=name: np.testing.assert_allclose(
                a, b, rtol=1e-11, atol=1e-11, err_msg=n
            ),
            have[name],
            want[name],
        )


@pytest.mark.parametrize("active", [0, 1, 77, 3000])
def test_any_number_of_cells_may_fire_at_once(active):
    pre, post = 3000, 900
    rng = np.random.default_rng(active)
    degree = rng.integers(0, 40, pre)
    indptr = np.concatenate([[0], np.cumsum(degree)])
    target = rng.integers(0, post, indptr[-1])
    weight = rng.normal(size=indptr[-1]).astype(np.float32)
    x = np.zeros(pre, np.float32)
    x[rng.permutation(pre)[:active]] = 1
    wires = Sparse(target, weight, post, indptr)
    want = np.zeros(post)
    np.add.at(want, target, weight.astype(float) * np.repeat(x, degree))
    np.testing.assert_allclose(wires.forward(jnp.asarray(x)), want, rtol=1e-4, atol=1e-4)
    one = Sparse(target, 0.5, post, indptr)
    counts = np.bincount(target, weights=np.repeat(x, degree), minlength=post)
    np.testing.assert_array_equal(one.forward(jnp.asarray(x)), 0.5 * counts)
    np.testing.assert_array_equal(one.forward(jnp.asarray(x != 0)), 0.5 * counts)  # booleans too


@pytest.mark.parametrize("rows", ["sorted", "in any order"])
def test_large_populations_shared_between_threads_lose_nothing(rows):
    """Several threads share the postsynaptic cells: each entry is added once, whatever the order of a row."""
    draw = np.random.default_rng(3)
    pre, post, k = 300, 50_000, 200
    target = draw.integers(0, post, (pre, k))
    if rows == "sorted":
        target.sort(1)
    weight, x = draw.integers(1, 9, (pre, k)), draw.integers(0, 2, (3, pre))
    wires = Sparse(target, weight.astype(float), post)
    right = np.zeros((3, post))
    for sample, row in enumerate(right):
        np.add.at(row, target.ravel(), (weight * x[sample][:, None]).ravel())
    found = [wires.forward(jnp.asarray(a, jnp.float32)) for a in x]
    np.testing.assert_array_equal(found, right)  # whole numbers: exact
    batch = jax.vmap(wires.forward)(jnp.asarray(x, jnp.float32))
    np.testing.assert_array_equal(batch, right)
    back = wires.transpose(jnp.asarray(right[0], jnp.float32))
    np.testing.assert_array_equal(back, (weight * right[0][target]).sum(1))


def test_what_is_not_finite_arrives():
    wires = Sparse([0, 1], 1.0, 2, indptr=[0, 1, 2])
    have = wires.forward(jnp.array([jnp.nan, -jnp.inf]))
    assert np.isnan(have[0])
    assert have[1] == -np.inf


def test_a_whole_run_and_a_batch_are_one_call(key):
    wires = Sparse(TARGET, WEIGHT, POST, INDPTR)
    xs = jax.random.bernoulli(key, 0.3, (4, 2, PRE)).astype(float)
    batch = Batched(wires, 2)
    _, ys = run(batch, start(batch, 1.0, key), xs)
    np.testing.assert_allclose(ys, xs @ matrix(WEIGHT).T, rtol=1e-5, atol=1e-6)


def shapes_in(jaxpr):
    """Sizes of all arrays in a program, inner ones too."""
    for eqn in jaxpr.eqns:
        yield from (v.aval.size for v in eqn.outvars)
        for value in jax.tree.leaves(
            list(eqn.params.values()), is_leaf=lambda v: hasattr(v, "eqns")
        ):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from shapes_in(inner)


@pytest.mark.parametrize("compiled", [True, False])
def test_no_matrix_of_cells_by_cells_is_ever_made(compiled):
    n, k = 500, 3
    wires = Sparse.random(n, n, k, jax.random.key(0))
    loss = lambda w, x: (Sparse(wires.target, w, n).forward(x) ** 2).sum()
    args = (wires.weight, jnp.ones(n))
    if compiled:
        grad = jax.jit(jax.grad(loss, (0, 1))).lower(*args)
    else:
        with native.pure():
            grad = jax.jit(jax.grad(loss, (0, 1))).lower(*args)
    assert max(shapes_in(jax.make_jaxpr(jax.grad(loss, (0, 1)))(*args).jaxpr)) <= n * k
    # and in what XLA is given: no array of more entries than there are synapses, indices of two columns
    import re

    found = re.findall(r"tensor<((?:\d+x)+)[a-z]", grad.as_text())
    sizes = [np.prod([int(v) for v in shape.split("x") if v]) for shape in found]
    assert max(sizes) <= 2 * n * k


def test_wires_from_lists_of_synapses():
    pre, post = np.array([2, 0, 2, 1]), np.array([1, 0, 3, 3])
    wires = Sparse.from_edges(pre, post, np.array([1.0, 2.0, 3.0, 4.0]), 3, 4)
    want = np.zeros((4, 3))
    want[post, pre] = [1.0, 2.0, 3.0, 4.0]
    np.testing.assert_array_equal(wires.dense(), want)
    shared = Sparse.from_edges(pre, post, 0.5, 3, 4)
    assert shared.weight.shape == ()
    np.testing.assert_array_equal(shared.dense(), 0.5 * (want > 0))
    np.testing.assert_array_equal(shared.transpose(jnp.ones(4)), 0.5 * (want > 0).sum(0))
    for indptr in ([0, 2], [0, 3, 2, 4], [1, 2, 4]):
        with pytest.raises(ValueError, match="indptr must rise from 0 to"):
            Sparse([0, 1, 2, 3], 1.0, 4, indptr)
    with pytest.raises(ValueError, match=r"pre 0\.\.2 but the cells"):
        Sparse.from_edges(pre, post, 1.0, 2, 4)
    with pytest.raises(ValueError, match=r"give \(pre, k\)"):
        Sparse([0, 1], 1.0, 4)
