r"""A matrix times many rows, as dense wiring needs it over a whole time axis, and its gradient.

$$y = x W^\top, \qquad \partial L / \partial W = (\partial L / \partial y)^\top x$$

`event_product` sums over the entries of x that are not zero, whatever their number and value: exact at any
density, and at 3 % a third of the time of the matrix product. `row_product` is XLA's matrix product, with a
gradient of W that spares the transpose which XLA writes out. On a CPU with a compiler these are kernels
(`native/product.cc`), elsewhere matrix products. Derivatives of any order and mode go through both.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from neuropil import native

FEW = 512  # rows below which a kernel of its own is not worth its call


def event_product(x: Array, w: Array) -> Array:
    """x (..., pre) times W (post, pre), as (..., post), by the entries of x that are not zero.

    >>> event_product(jnp.array([[0.0, 2.0]]), jnp.array([[1.0, 3.0]])).tolist()
    [[6.0]]
    """
    return _over_rows(_EVENTS, x, w)


def row_product(x: Array, w: Array) -> Array:
    """x (..., pre) times W (post, pre), as (..., post)."""
    many = x.ndim > 1 and x.size >= FEW * x.shape[-1]
    return _over_rows(_ROWS, x, w) if many and native.available("product") else x @ w.T


def _over_rows(product, x, w):
    dtype = jnp.result_type(x, w)
    rows = x.reshape(-1, x.shape[-1]).astype(dtype)
    (y,) = product.bind(rows, w.astype(dtype))
    return y.reshape(*x.shape[:-1], w.shape[0])


def _plain_product(x, w):
    return [x @ w.T]


def _plain_outer(x, d):
    return [jnp.einsum("ro,ri->oi", d, x)]


def _kernel(symbol, plain, shape):
    def here(a, b):
        fits = symbol and a.dtype in (jnp.float32, jnp.float64)
        if not fits or not native.available("product"):
            return plain(a, b)
        like = jax.ShapeDtypeStruct(shape(a, b), a.dtype)
        name = f"product.{symbol}_f{8 * a.dtype.itemsize}"
        return [native.call(name, lambda *ab: plain(*ab)[0], like, a, b)]

    return here


def _primitive(name, symbol, plain, shape):
    made = Primitive(name)
    made.multiple_results = True
    here = _kernel(symbol, plain, shape)
    made.def_impl(here)
    made.def_abstract_eval(lambda a, b: [ShapedArray(shape(a, b), a.dtype)])
    mlir.register_lowering(made, mlir.lower_fun(here, multiple_results=True))

    def jvp(primals, tangents):
        """Along the second operand the operation itself, along the first (dense) the matrix product."""
        (x, b), (dx, db) = primals, tangents
        terms = [] if type(dx) is ad.Zero else [plain(dx, b)[0]]
        terms += [] if type(db) is ad.Zero else made.bind(x, db)
        return made.bind(x, b), [sum(terms[1:], terms[0])]

    ad.primitive_jvps[made] = jvp
    return made


def _pair(name, forward, outer):
    """The product and the gradient of its weight: each the other's transpose in its second operand."""
    product = _primitive(name, forward, _plain_product, lambda x, w: (x.shape[0], w.shape[0]))
    weight = _primitive(
        f"{name}_gradient", outer, _plain_outer, lambda x, d: (d.shape[1], x.shape[1])
    )

    def product_transpose(cts, x, w):
        if ad.is_undefined_primal(w):
            return [None, weight.bind(x, cts[0])[0]]
        return [cts[0] @ w, None]

    def weight_transpose(cts, x, d):
        if ad.is_undefined_primal(d):
            return [None, product.bind(x, cts[0])[0]]
        return [d @ cts[0], None]

    def product_batched(args, axes):
        (x, w), (a, b) = args, axes
        if b is None:  # more samples are more rows
            x = jnp.moveaxis(x, a, 1)
            (y,) = product.bind(x.reshape(-1, x.shape[2]), w)
            return [y.reshape(*x.shape[:2], -1)], [1]
        return [jax.vmap(lambda x, w: _plain_product(x, w)[0], (a, b))(x, w)], [0]

    def weight_batched(args, axes):
        return [jax.vmap(lambda x, d: _plain_outer(x, d)[0], axes)(*args)], [0]

    ad.primitive_transposes[product] = product_transpose
    ad.primitive_transposes[weight] = weight_transpose
    batching.primitive_batchers[product] = product_batched
    batching.primitive_batchers[weight] = weight_batched
    return product


def event_sum(x: Array, w: Array) -> Array:
    """W (post, pre) times one x (pre,), by the entries of x that are not zero: what a tick delivers.

    The kernel asks for the post axis to be next in memory; in a loop over ticks XLA keeps it so.

    >>> event_sum(jnp.array([0.0, 2.0]), jnp.array([[1.0, 3.0]])).tolist()
    [6.0]
    """
    dtype = jnp.result_type(x, w)
    return native.prefer(_deliver, _plain_sum)(x.astype(dtype), w.astype(dtype))


def _plain_sum(x, w):
    return w @ x


def _deliver(x, w):
    if x.dtype not in (jnp.float32, jnp.float64):
        return w @ x
    like = jax.ShapeDtypeStruct(w.shape[:1], x.dtype)
    symbol, order = f"stdp.deliver_f{8 * x.dtype.itemsize}", (((0,), (1, 0)), (0,))
    return native.call(symbol, _plain_sum, like, x, w, layouts=order)


_EVENTS = _pair("event_product", "forward", "outer")
_ROWS = _pair("row_product", None, "gram")
