r"""Products with a sparse matrix that cost as much as there are spikes: `deliver` and `collect`.

Row j of the matrix (a presynaptic cell) holds its entries `indptr[j] .. indptr[j + 1] - 1` (CSR): `target` is
the postsynaptic cell of an entry, `weight` its weight, or one number for all of them. Three bilinear maps are
closed under differentiation, so derivatives of any order and in both modes are made of them:

$$\text{deliver}(x, w)_i = \sum_{j \to i} w_{ji} x_j, \quad \text{collect}(y, w)_j = \sum_{j \to i} w_{ji} y_i,
\quad \text{outer}(x, y)_{ji} = x_j y_i$$

On a CPU one compiled kernel finds the entries of x that are not zero and goes along their rows; elsewhere,
or without a compiler, the same is done by gather and scatter over all entries.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from neuropil import native

_MODES = {"deliver": 0, "collect": 1, "outer": 2}
_product = Primitive("event_product")


def deliver(x: Array, weight: Array, target: Array, indptr: Array, post: int) -> Array:
    """What arrives at `post` cells, of shape (post,), from x of shape (pre,).

    >>> indptr, target = jnp.array([0, 2, 3]), jnp.array([0, 1, 1])
    >>> deliver(jnp.array([1.0, 10.0]), jnp.array([1.0, 2.0, 3.0]), target, indptr, 2).tolist()
    [1.0, 32.0]
    >>> deliver(jnp.array([1.0, 10.0]), jnp.array(0.5), target, indptr, 2).tolist()
    [0.5, 5.5]
    """
    return _bind("deliver", x, weight, target, indptr, post, weight.ndim == 0)


def collect(y: Array, weight: Array, target: Array, indptr: Array) -> Array:
    """The transpose of `deliver`: (pre,) from y of shape (post,)."""
    return _bind("collect", y, weight, target, indptr, y.shape[0], weight.ndim == 0)


def _bind(mode, a, b, target, indptr, post, shared):
    dtype = jnp.result_type(a, b, jnp.float32)  # spikes may be booleans or integers
    a, b = a.astype(dtype), b.astype(dtype)
    return _product.bind(
        a, b, target, indptr, mode=mode, post=post, shared=shared, batched=(False,) * 4
    )


def _size(batched, *operands):
    """Samples in the batch; 1 where nothing is batched."""
    return next((a.shape[0] for a, has in zip(operands, batched, strict=True) if has), 1)


def _result(a, b, target, indptr, *, mode, post, shared, batched):
    """Shape and dtype of the product."""
    one = {
        "deliver": (post,),
        "collect": (indptr.shape[-1] - 1,),
        "outer": () if shared else (target.shape[-1],),
    }[mode]
    batch = (_size(batched, a, b, target, indptr),) if any(batched) else ()
    return jax.ShapeDtypeStruct((*batch, *one), a.dtype)


def _abstract(a, b, target, indptr, **how):
    like = _result(a, b, target, indptr, **how)
    return jax.core.ShapedArray(like.shape, like.dtype)


def _reference(a, b, target, indptr, *, mode, post, shared):
    """One sample by gather and scatter over all entries: what the product means."""
    pre, entries = indptr.shape[0] - 1, target.shape[0]
    row = jnp.repeat(jnp.arange(pre), jnp.diff(indptr), total_repeat_length=entries)
    if mode == "deliver":
        return jnp.zeros(post, a.dtype).at[target].add(b * a[row])
    if mode == "collect":
        return jnp.zeros(pre, a.dtype).at[row].add(b * a[target])
    product = a[row] * b[target]
    return product.sum() if shared else product


def _computed(a, b, target, indptr, *, mode, post, shared, batched):
    how = {"mode": mode, "post": post, "shared": shared}
    one = functools.partial(_reference, **how)
    axes = tuple(0 if has else None for has in batched)
    return native.call(
        "events.product",
        jax.vmap(one, in_axes=axes) if any(batched) else one,
        _result(a, b, target, indptr, batched=batched, **how),
        *(a, b, target, indptr),
        mode=np.int32(_MODES[mode]),
        shared=np.int32(shared),
        batched=np.int32(sum(has << k for k, has in enumerate(batched))),
        batch=np.int32(_size(batched, a, b, target, indptr)),
    )


@functools.lru_cache(maxsize=256)
def _compiled(**how):
    return jax.jit(functools.partial(_product.bind, **how))


_product.def_impl(lambda *operands, **how: _compiled(**how)(*operands))
_product.def_abstract_eval(_abstract)
mlir.register_lowering(_product, mlir.lower_fun(_computed, multiple_results=False))


def _tangent(which):
    def rule(tangent, *operands, **how):
        return _product.bind(*operands[:which], tangent, *operands[which + 1 :], **how)

    return rule


ad.defjvp(_product, _tangent(0), _tangent(1), None, None)


def _cotangent(ct, a, b, target, indptr, *, mode, post, shared, batched):
    """The product is linear in a and in b; which of the two is asked for is the one not known."""
    first = ad.is_undefined_primal(a)
    if isinstance(ct, ad.Zero):
        return (None,) * 4
    other = b if first else a
    # (mode of this product, which operand) -> mode of its transpose, and whether the cotangent comes first
    turned, ahead = {
        ("deliver", True): ("collect", True),
        ("deliver", False): ("outer", False),
        ("collect", True): ("deliver", True),
        ("collect", False): ("outer", True),
        ("outer", True): ("collect", False),
        ("outer", False): ("deliver", False),
    }[mode, first]
    known = batched[1] if first else batched[0]
    whole = any(batched)
    if ahead:
        operands, flags = (ct, other), (whole, known)
    else:
        operands, flags = (other, ct), (known, whole)
    back = _product.bind(
        *operands,
        target,
        indptr,
        mode=turned,
        post=post,
        shared=shared,
        batched=(*flags, *batched[2:]),
    )
    asked = batched[0] if first else batched[1]
    if whole and not asked:
        back = back.sum(0)  # an operand that served the whole batch
    return (back, None, None, None) if first else (None, back, None, None)


ad.primitive_transposes[_product] = _cotangent


def _batch(operands, dims, *, batched, **how):
    """One more batch axis, put in front and joined with the one that is there."""
    new = tuple(d is not None for d in dims)
    moved = [
        jnp.moveaxis(a, d, 0) if has else a for a, d, has in zip(operands, dims, new, strict=True)
    ]
    both = tuple(p or q for p, q in zip(batched, new, strict=True))
    n = _size(new, *moved)
    if not any(batched):
        return _product.bind(*moved, batched=both, **how), 0
    before = zip(moved, new, batched, strict=True)
    old = next(a.shape[int(here)] for a, here, there in before if there)
    joined = []
    for a, here, there in zip(moved, new, batched, strict=True):
        if here != there:  # it has one of the two axes
            a = jnp.expand_dims(a, 1 if here else 0)
            a = jnp.broadcast_to(a, (n, old, *a.shape[2:]))
        joined.append(a.reshape(n * old, *a.shape[2:]) if here or there else a)
    out = _product.bind(*joined, batched=both, **how)
    return out.reshape(n, old, *out.shape[1:]), 0


batching.primitive_batchers[_product] = _batch
