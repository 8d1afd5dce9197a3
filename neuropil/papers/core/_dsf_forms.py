r"""Each architecture as one diagonal linear recurrence: `as_dsf(part, us)`.

The state is laid out channel-major: n entries for each value channel, so that with kron(I, .)

- separable attention: $L_i = \eta_{i-1} / \eta_i$, $B_i = \mathrm{kron}(I, \psi(k_i)) W_V / \eta_i$,
  $C_i = W_O\,\mathrm{kron}(I, \varphi(q_i)^\top)$, $L_0 = 0$;
- softmax: no finite features know the future, but the cache itself will do: $\psi(k_j) = e_j$ and
  $\varphi(q_i)_j = \exp(q_i \cdot k_j)$, one state entry a token, growing with the sequence;
- S6 and SSD: $L_i = e^{-\Delta_i a}$, $B_i = \mathrm{kron}(I, b_i)\,\mathrm{diag}(\Delta_i)$;
- qLSTM and RG-LRU: all three diagonal, n = 1.

Each takes `wrong=True` for the control: one ingredient left out or turned round.
"""

from __future__ import annotations

from functools import singledispatch

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from neuropil.blocks import QLSTM, RGLRU, S6, SSD, Attention, LinearAttention, LinearRecurrence
from neuropil.blocks.attention import join_heads


@singledispatch
def as_dsf(part, us: Float[Array, "time width"], wrong: bool = False) -> LinearRecurrence:
    """The recurrence that does to `us` what the part does, from rest.

    Raises TypeError for a part without a known form, ValueError where a bias on values or outputs
    makes the map affine in the input.
    """
    raise TypeError(f"as_dsf: no linear recurrence is known for a {type(part).__name__}")


def _linear_only(name, *maps):
    if any(m.bias is not None for m in maps):
        raise ValueError(
            f"as_dsf: {name} has a bias on its values or outputs, which a linear form cannot hold;"
            " build it with bias=False"
        )


def separable_form(
    q: Float[Array, "head time state"],
    k: Float[Array, "head time state"],
    eta: Float[Array, "head time"],
    value: Float[Array, "channel input"],
    out: Float[Array, "output channel"],
    ratio: bool = True,
) -> LinearRecurrence:
    """Attention with kernel q.k and normaliser eta; `ratio=False` leaves eta_{i-1} / eta_i out."""
    heads, time, n = q.shape
    part = value.shape[0] // heads
    before = jnp.concatenate([jnp.zeros((heads, 1)), eta[:, :-1]], axis=1)
    decay = (before / eta if ratio else jnp.ones_like(eta)).T
    write = jnp.einsum("htn,ht,hci->thcni", k, 1 / eta, value.reshape(heads, part, -1))
    read = jnp.einsum("ohc,htn->tohcn", out.reshape(-1, heads, part), q)
    return LinearRecurrence(
        jnp.repeat(decay, part * n, axis=1),
        write.reshape(time, heads * part * n, -1),
        read.reshape(time, -1, heads * part * n),
    )


@as_dsf.register
def _(part: Attention, us, wrong=False):
    _linear_only("Attention", part.value, part.out)
    q, k, _ = part.project(us)
    kernel = jnp.exp(q @ jnp.swapaxes(k, 1, 2) / jnp.sqrt(q.shape[-1]))
    eta = jnp.tril(kernel).sum(-1)
    each = jnp.broadcast_to(jnp.eye(len(us))[None], kernel.shape)
    return separable_form(kernel, each, eta, part.value.weight, part.out.weight, not wrong)


@as_dsf.register
def _(part: LinearAttention, us, wrong=False):
    _linear_only("LinearAttention", part.value, part.out)
    q, k, _ = part.project(us)
    total = jnp.tril(q @ jnp.swapaxes(k, 1, 2)).sum(-1)
    eta = jax.vmap(part.normaliser)(us, total.T).T
    return separable_form(q, k, eta, part.value.weight, part.out.weight, not wrong)


def ssm_as_linear_attention(
    part: LinearAttention, us: Float[Array, "time width"], wrong: bool = False
) -> Float[Array, "time width"]:
    """An SSD's own code, given decay eta_{i-1} / eta_i and write 1 / eta_i, does linear attention.

    The ratio depends on the past through eta, which no SSD's Delta(u_i) can: the forms are equal, not
    the classes of functions. `wrong`: the write without 1 / eta_i.
    """
    from neuropil.blocks import separable

    q, k, v = part.project(us)
    eta = jnp.tril(q @ jnp.swapaxes(k, 1, 2)).sum(-1)
    log_eta = jnp.log(eta)
    log_decay = jnp.concatenate([jnp.zeros_like(log_eta[:, :1]), -jnp.diff(log_eta)], axis=1)
    write = k if wrong else k / eta[..., None]
    v = v[..., :-1]  # without the column of ones that counts the kernel
    start = jnp.zeros((q.shape[0], q.shape[-1], v.shape[-1]), v.dtype)
    _, ys = separable(q, write, v, log_decay, start)
    return jax.vmap(part.out.forward)(join_heads(ys))


@as_dsf.register
def _(part: S6, us, wrong=False):
    _linear_only("S6", part.out)
    delta = jax.nn.softplus(jax.vmap(part.delta.forward)(us))
    decay = jnp.exp(-delta[:, :, None] * jnp.exp(part.log_a)[None])
    gain = jnp.ones_like(delta) if wrong else delta  # the control forgets that Delta also writes
    return _selective(part, us, decay, gain)


@as_dsf.register
def _(part: SSD, us, wrong=False):
    _linear_only("SSD", part.out)
    z, a = jax.vmap(part.delta.forward)(us), jnp.exp(part.log_a)[None]
    gate = jax.nn.sigmoid(z if wrong else -z) ** a  # the control does not reverse the sigmoid
    width, n = us.shape[1], part.write.weight.shape[0]
    spread = lambda x: jnp.repeat(x, width // x.shape[1], axis=1)
    decay = jnp.broadcast_to(spread(gate)[:, :, None], (len(us), width, n))
    return _selective(part, us, decay, spread(jax.nn.softplus(z)))


def _selective(part, us, decay, gain):
    """State (channel, n): B = kron(I, b) diag(gain), C = W_o kron(I, c), D = W_o diag(skip)."""
    time, width, n = decay.shape
    eye, out = jnp.eye(width), part.out.weight
    write = jnp.einsum("tn,tc,ci->tcni", part.write.forward(us), gain, eye)
    read = jnp.einsum("oc,tn->tocn", out, part.read.forward(us))
    skip = jnp.broadcast_to((out * part.skip[None])[None], (time, *out.shape))
    flat = (decay.reshape(time, -1), write.reshape(time, width * n, width))
    return LinearRecurrence(*flat, read.reshape(time, -1, width * n), skip)


@as_dsf.register
def _(part: QLSTM, us, wrong=False):
    keep, write, read = part.gates(us)
    if wrong:  # the forget gate the other way round
        keep = 1 - keep
    return LinearRecurrence(keep, jax.vmap(jnp.diag)(write), jax.vmap(jnp.diag)(read))


@as_dsf.register
def _(part: RGLRU, us, wrong=False):
    decay, write = part.gates(us)
    if wrong:  # what is forgotten makes no room
        write = write / jnp.sqrt(1 - decay**2)
    one = jnp.broadcast_to(jnp.eye(us.shape[1])[None], (*us.shape, us.shape[1]))
    return LinearRecurrence(decay, jax.vmap(jnp.diag)(write), one)
