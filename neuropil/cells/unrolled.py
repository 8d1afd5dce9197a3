r"""The membrane of a `LIF` over a whole time axis, with a backward pass that keeps one potential a tick.

$$h_t = v_{rest} + (v_{t-1} - v_{rest}) b + g x_t, \quad s_t = \Theta(h_t - \vartheta), \quad
  v_t = h_t + s_t\, \text{jump}(h_t)$$

with jump = -threshold (soft reset), value - h (hard) or 0. Kept for the gradient are the h alone: spikes,
slopes of the surrogate and potentials before the tick follow from them. On a CPU with a compiler both
passes are one loop over memory (`native/lif.cc`), elsewhere a scan forwards and one backwards.

Three operations, each the derivative of the one before, so that all of JAX's transformations go through:
`membrane` (values), its tangent (linear in the tangents, for forward mode), and the tangent's transpose (for
backward mode). The two latter are differentiated as the plain JAX functions they stand for, which is
what a second derivative needs. A `custom_vjp` would forbid forward mode.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from neuropil import native
from neuropil.cells import surrogate as bumps

NAMES = ("x", "v0", "decay", "gain", "threshold", "rest", "value")
KINDS = dict(zip(NAMES, "TSPPPPP", strict=True))  # (time, *rows, *cells), (*rows, *cells), (*cells)
CODES = {
    bumps.SuperSpike: 1,
    bumps.ATan: 2,
}  # slopes the kernel knows; of all others it gets the values


class Kind(NamedTuple):
    """What does not change along the time axis and is no array: "soft", "hard" or "none"; the spike's slope."""

    reset: str
    detach: bool
    surrogate: Any

    def after(self, h: Array, s: Array, threshold: Array, value: Array) -> Array:
        """The potential after the reset."""
        s = lax.stop_gradient(s) if self.detach else s
        if self.reset == "soft":
            return h - s * threshold
        return h + s * (value - h) if self.reset == "hard" else h

    def codes(self) -> dict:
        """The same for the kernel."""
        reset = np.int32(("soft", "hard", "none").index(self.reset))
        return {"reset": reset, "closed": np.int32(self.surrogate.closed)}


def membrane(kind: Kind, x: Array, v0: Array, **parameters: Array) -> tuple[Array, Array]:
    """(spikes, shaped as x; potentials at the end, shaped as v0) of inputs x (time, *rows, *cells).

    `v0` (*rows, *cells) are the potentials before, rows any samples of the same cells; decay, gain, threshold,
    rest and value are (*cells).
    """
    args = (x, v0, *(parameters[name] for name in NAMES[2:]))
    return tuple(_membrane.bind(*args, kind=kind)[:2])


def _under(p, a):
    """A parameter with the axes in front that an array has more (ranks are never promoted unasked)."""
    return p.reshape((1,) * (a.ndim - p.ndim) + p.shape)


def _forward(x, v0, *parameters, kind):
    """The reference: a scan over ticks, in the very steps of `LIF.step`; (spikes, v at the end, h)."""
    decay, gain, threshold, rest, value = (_under(p, v0) for p in parameters)

    def body(v, x):
        h = rest + (v - rest) * decay + gain * x
        s = kind.surrogate(h - threshold)
        return kind.after(h, s, threshold, value), (s, h)

    v, (s, h) = lax.scan(body, v0, x)
    return s, v, h


def _tangent(x, h, v0, *rest, kind, wrt):
    """Tangents of `_forward` along those of its inputs that move (`wrt`)."""
    at = dict(zip(NAMES, (x, v0, *rest[:5]), strict=True))
    along = {n: jnp.zeros_like(a) for n, a in at.items()} | dict(zip(wrt, rest[5:], strict=True))
    whole = lambda *a: _forward(*a, kind=kind)
    return jax.jvp(whole, tuple(at.values()), tuple(along[n] for n in NAMES))[1]


def _adjoint(h, v0, decay, gain, threshold, rest, value, gs, gend, *more, kind, wrt, use):
    """The transpose of `_tangent`: a scan backwards. `use` names what is in `more`: "x", "gh"."""
    given = dict(zip(use, more, strict=True))
    axes = tuple(range(h.ndim - decay.ndim))  # time and rows
    parameters = (decay, gain, threshold, rest, value)
    decay, gain, threshold, rest, value = (_under(p, v0) for p in parameters)
    u = h - threshold[None]
    s = kind.surrogate(u)
    kept = lax.stop_gradient(s) if kind.detach else s
    jump = {"soft": -threshold[None] + jnp.zeros_like(h), "hard": value[None] - h}
    jump = jump.get(kind.reset, jnp.zeros_like(h))
    slope = kind.surrogate.shape(u)

    def body(back, now):
        gs, slope, jump, kept, gh = now
        spike = slope * (gs if kind.detach else gs + jump * back)
        dh = (back * (1 - kept) if kind.reset == "hard" else back) + spike + gh
        return decay * dh, (dh, spike, back)

    gh = given.get("gh", jnp.zeros_like(h))
    gv, (dh, spike, back) = lax.scan(body, gend, (gs, slope, jump, kept, gh), reverse=True)
    found = {"x": gain[None] * dh, "v0": gv}
    if set(wrt) & set(NAMES[2:]):
        after = kind.after(h, s, threshold[None], value[None])
        before = jnp.concatenate([v0[None], after[:-1]])
        reset = {kind.reset: kept * back}
        none = jnp.zeros_like(h)
        found |= {
            "decay": dh * (before - rest[None]),
            "threshold": -spike - reset.get("soft", none),
            "rest": dh * (1 - decay[None]),
            "value": reset.get("hard", none),
        }
        if "gain" in wrt:
            found["gain"] = dh * given["x"]
    total = lambda name: found[name].sum(axes) if KINDS[name] == "P" else found[name]
    return [total(name) for name in wrt]


def _symbol(name, dtype):
    return f"lif.{name}_f{8 * dtype.itemsize}"


def _native(dtype):
    return dtype in (jnp.float32, jnp.float64) and native.available("lif")


def _rows_and_cells(a, p):
    """(rows, cells) of an array without time whose last axes are those of a parameter."""
    return a.size // p.size, p.size


def _forward_here(x, v0, *parameters, kind):
    if not _native(x.dtype):
        return _forward(x, v0, *parameters, kind=kind)
    flat = (x.shape[0], *_rows_and_cells(v0, parameters[0]))
    like = lambda *shape: jax.ShapeDtypeStruct(shape, x.dtype)
    s, v, h = native.call(
        _symbol("forward", x.dtype),
        lambda *a: _forward(*a, kind=kind),
        (like(*flat), like(*flat[1:]), like(*flat)),
        *(x.reshape(flat), v0.reshape(flat[1:]), *(p.reshape(-1) for p in parameters)),
        **kind.codes(),
    )
    return s.reshape(x.shape), v.reshape(v0.shape), h.reshape(x.shape)


def _adjoint_here(h, v0, *rest, kind, wrt, use):
    if not _native(h.dtype) or "gh" in use:
        return _adjoint(h, v0, *rest, kind=kind, wrt=wrt, use=use)
    parameters, (gs, gend, *more) = rest[:5], rest[5:]
    shapes = {"T": h.shape, "S": v0.shape, "P": parameters[0].shape}
    flat = (h.shape[0], *_rows_and_cells(v0, parameters[0]))
    h, gs, *more = (a.reshape(flat) for a in (h, gs, *more))
    v0, gend = v0.reshape(flat[1:]), gend.reshape(flat[1:])
    parameters = tuple(p.reshape(-1) for p in parameters)
    given, code = dict(zip(use, more, strict=True)), CODES.get(type(kind.surrogate), 0)
    none = jnp.zeros((0, 0, 0), h.dtype)
    many = 5 if set(wrt) & set(NAMES[2:]) else 0
    x = given.get("x", none)
    slope = none if code else kind.surrogate.shape(h - _under(parameters[2], h))

    def plain(gs, gend, h, v0, *rest):
        names = tuple(n for n in NAMES if many or KINDS[n] != "P")
        names = names if use else tuple(n for n in names if n != "gain")
        parameters, (x, _) = rest[:5], rest[5:]
        xs = (x,) if use else ()
        out = _adjoint(h, v0, *parameters, gs, gend, *xs, kind=kind, wrt=names, use=use)
        out = dict(zip(names, out, strict=True))
        zero = jnp.zeros_like(parameters[0])
        sums = [out.get(n, zero) for n in NAMES[2:]] if many else jnp.zeros((0, h.shape[2]))
        return (
            out["x"],
            out["v0"],
            jnp.stack(sums).astype(h.dtype) if many else sums.astype(h.dtype),
        )

    like = lambda *shape: jax.ShapeDtypeStruct(shape, h.dtype)
    gx, gv, sums = native.call(
        _symbol("backward", h.dtype),
        plain,
        (like(*h.shape), like(*v0.shape), like(many, h.shape[2])),
        *(gs, gend, h, v0, *parameters, x, slope),
        detach=np.int32(kind.detach),
        shape=np.int32(code),
        slope=np.float64(kind.surrogate.slope),
        **kind.codes(),
    )
    found = {"x": gx, "v0": gv} | (dict(zip(NAMES[2:], sums, strict=True)) if many else {})
    return [found[name].reshape(shapes[KINDS[name]]) for name in wrt]


def _inputs_forward(**_):
    return "TSPPPPP"


def _inputs_tangent(wrt, **_):
    return "TTSPPPPP" + "".join(KINDS[n] for n in wrt)


def _inputs_adjoint(use, **_):
    return "TSPPPPPTS" + "T" * len(use)


def _outputs_forward(**_):
    return "TST"


def _outputs_adjoint(wrt, **_):
    return "".join(KINDS[n] for n in wrt)


def _place(kind, rows, args, kinds):
    """Where the batch axis of an operand or output goes: among the rows, or else first of the cells."""
    ndim = dict(zip(kinds, (a.ndim - (d is not None) for a, d in args), strict=False))
    cells = ndim["S"] - ndim["P"]
    return {"T": 1 if rows else 1 + cells, "S": 0 if rows else cells, "P": 0}[kind]


def _batched(primitive, inputs, outputs):
    """More samples are more rows; where a parameter, or a sum over the rows, has a batch axis: more cells."""

    def rule(args, axes, **settings):
        kinds, given = inputs(**settings), list(zip(args, axes, strict=True))
        n = next(a.shape[d] for a, d in given if d is not None)
        own = [k for k, d in zip(kinds, axes, strict=True) if d is not None]
        rows = "P" not in own and "P" not in outputs(**settings)
        place = lambda kind: _place(kind, rows, given, kinds)

        def moved(a, axis, kind):
            if kind == "P" and rows:
                return a
            a = jnp.broadcast_to(a, (n, *a.shape)) if axis is None else a
            return jnp.moveaxis(a, axis or 0, place(kind))

        out = primitive.bind(
            *(moved(a, d, k) for (a, d), k in zip(given, kinds, strict=True)), **settings
        )
        return out, [place(k) for k in outputs(**settings)]

    batching.primitive_batchers[primitive] = rule


def _shapes(inputs, outputs):
    """Outputs are shaped as the inputs of their kind."""

    def rule(*args, **settings):
        like = dict(zip(inputs(**settings), args, strict=True))
        return [ShapedArray(like[k].shape, like[k].dtype) for k in outputs(**settings)]

    return rule


def _primitive(name, here, inputs, outputs):
    made = Primitive(name)
    made.multiple_results = True
    made.def_impl(here)
    made.def_abstract_eval(_shapes(inputs, outputs))
    mlir.register_lowering(made, mlir.lower_fun(here, multiple_results=True))
    _batched(made, inputs, outputs)
    return made


_membrane = _primitive("membrane", _forward_here, _inputs_forward, _outputs_forward)
_membrane_tangent = _primitive("membrane_tangent", _tangent, _inputs_tangent, _outputs_forward)
_membrane_adjoint = _primitive("membrane_adjoint", _adjoint_here, _inputs_adjoint, _outputs_adjoint)


def _jvp(primals, tangents, *, kind):
    out = _membrane.bind(*primals, kind=kind)
    moving = [(n, t) for n, t in zip(NAMES, tangents, strict=True) if type(t) is not ad.Zero]
    x, v0, *parameters = primals
    wrt = tuple(n for n, _ in moving)
    lin = [t for _, t in moving]
    return out, _membrane_tangent.bind(x, out[2], v0, *parameters, *lin, kind=kind, wrt=wrt)


def _as_plain(function):
    """The derivative of an operation is that of the JAX function it stands for."""

    def jvp(primals, tangents, **settings):
        tangents = tuple(ad.instantiate_zeros(t) for t in tangents)
        return jax.jvp(lambda *a: function(*a, **settings), tuple(primals), tangents)

    return jvp


def _transpose(cts, x, h, v0, *rest, kind, wrt):
    gs, gend, gh = cts
    parameters = rest[:5]
    zero = lambda ct, like: jnp.zeros_like(like) if type(ct) is ad.Zero else ct
    more = {"x": x} if "gain" in wrt else {}
    more |= {} if type(gh) is ad.Zero else {"gh": gh}
    found = _membrane_adjoint.bind(
        *(h, v0, *parameters, zero(gs, h), zero(gend, v0), *more.values()),
        kind=kind,
        wrt=wrt,
        use=tuple(more),
    )
    return [None] * 8 + list(found)


ad.primitive_jvps[_membrane] = _jvp
ad.primitive_jvps[_membrane_tangent] = _as_plain(_tangent)
ad.primitive_jvps[_membrane_adjoint] = _as_plain(_adjoint)
ad.primitive_transposes[_membrane_tangent] = _transpose
