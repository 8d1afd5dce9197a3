"""The product by events is the matrix product, at any density, in value and derivatives of every kind."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neuropil import native
from neuropil.core import Batched, run, start
from neuropil.wiring import Dense, event_product, product
from neuropil.wiring.product import FEW, row_product


def inputs(density, pre, post, rows, dtype):
    """Rows of which `density` is active, some graded, one empty and one full."""
    rng = np.random.default_rng(0)
    x = (rng.random((rows, pre)) < density) * rng.choice([1.0, 1.0, 0.5, -2.0], (rows, pre))
    x[0], x[-1] = 0.0, 1.0
    w, d = rng.normal(0, 1, (post, pre)), rng.normal(0, 1, (rows, post))
    return tuple(jnp.asarray(a, dtype) for a in (x, w, d))


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("kernel", [True, False])
def test_any_density_and_any_width(bits, kernel):
    bound = 1e-11 if bits == 64 else 2e-4
    ways = {event_product: (150, 3, 2), row_product: (FEW + 99, 3, 2)}
    shapes = ((0.03, 70, 331), (1.0, 33, 21), (0.0, 5, 1))

    with jax.enable_x64(bits == 64), contextlib.nullcontext() if kernel else native.pure():
        given = [
            (way, inputs(*shape, n, f"float{bits}"))
            for way, rows in ways.items()
            for shape, n in zip(shapes, rows, strict=True)
        ]
        both = jax.jit(
            lambda args: [
                jax.vjp(lambda w, way=way, x=x: way(x, w), w)[0:1]
                + jax.vjp(lambda w, way=way, x=x: way(x, w), w)[1](d)
                for (way, _), (x, w, d) in zip(given, args, strict=True)
            ]
        )
        for (y, g), (_, (x, w, d)) in zip(both([a for _, a in given]), given, strict=True):
            assert y.dtype == g.dtype == x.dtype
            x, w, d = (np.asarray(a, float) for a in (x, w, d))
            np.testing.assert_allclose(y, x @ w.T, atol=bound, rtol=bound)
            np.testing.assert_allclose(g, d.T @ x, atol=bound * 20, rtol=bound)


def test_nan_and_infinity_arrive():
    y = event_product(jnp.array([[0.0, jnp.nan], [jnp.inf, 0.0], [0.0, 1.0]]), jnp.ones((3, 2)))
    assert np.isnan(y[0]).all()
    assert np.isinf(y[1]).all()
    assert (y[2] == 1).all()


def test_derivatives_of_every_kind(x64, monkeypatch):
    """Forward, backward, second, one a sample, over seeds: those of the matrix product."""
    monkeypatch.setattr(product, "FEW", 0)
    x, w, d = inputs(0.3, 7, 4, 6, "float64")

    def all_of(product):
        f = lambda x, w: (jnp.sin(product(x, w)) * d).sum()
        slope = jax.grad(f, (0, 1))
        return (
            slope(x, w),
            jax.jvp(f, (x, w), (x[::-1], w[::-1])),
            jax.jacfwd(slope, (0, 1))(x, w),
            jax.jacrev(slope, 1)(x, w),
            jax.vmap(lambda x, d: jax.grad(lambda w: (product(x[None], w)[0] * d).sum())(w))(x, d),
            jax.vmap(slope, (None, 0))(x, jnp.stack([w, 2 * w])),
            jax.linear_transpose(lambda x: product(x, w), x)(d),
            jax.vmap(lambda x: product(x, w), 1, 1)(jnp.stack([x, -x], 1)),
        )

    wanted = jax.jit(all_of, static_argnums=0)(lambda x, w: x @ w.T)
    for way in (event_product, row_product):
        found = jax.jit(all_of, static_argnums=0)(way)
        for p, q in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
            np.testing.assert_allclose(p, q, atol=1e-12, rtol=1e-12)


def test_a_dense_wiring_that_goes_by_events_is_the_dense_wiring():
    x, w, _ = inputs(0.1, 20, 6, 24, "float32")
    xs, bias = x.reshape(8, 3, 20), jnp.arange(6.0)
    ys = []
    for events in (False, True):
        wire = Batched(Dense(w, bias, events), 3)
        ys.append(run(wire, start(wire, 1.0, jax.random.key(0)), xs)[1])
    np.testing.assert_allclose(*ys, atol=1e-5)
