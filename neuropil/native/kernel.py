"""Calling a kernel from JAX code, with the pure function that stands in for it."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import jax
from jax import lax

from neuropil.native.build import NativeError, library

_log = logging.getLogger("neuropil")
_pure = jax.make_user_context(default_value=False)  # part of the key of jit's caches


def pure() -> AbstractContextManager:
    """Within this context all is pure JAX: to compare with, or to find out whether a kernel is at fault.

    >>> with pure():
    ...     available("events")
    False
    """
    return _pure(True)


@functools.cache
def _registered(name: str) -> str:
    """The name under which XLA knows the handler "file.symbol"."""
    file, _, symbol = name.partition(".")
    target = f"neuropil.{name}"
    jax.ffi.register_ffi_target(
        target, jax.ffi.pycapsule(getattr(library(file), symbol)), platform="cpu"
    )
    return target


@functools.cache
def _say(file: str, reason: str) -> None:
    """Once a process: what is slower, and what to do."""
    _log.warning(
        "neuropil: the compiled kernels of %s.cc are not used, so what they do runs as plain JAX "
        "(same numbers, slower on a CPU): %s.",
        file,
        reason,
    )


def available(file: str) -> bool:
    """Whether the kernels of `file`.cc can be used here; compiles them where that was not done yet.

    >>> available("events") in (True, False)
    True

    Says once in the log why they cannot.
    """
    if _pure.value or jax.local_device_count("cpu") > 1:  # XLA cannot spread a kernel over devices
        return False
    try:
        library(file)
    except NativeError as error:
        _say(file, str(error))
        return False
    return True


def call(
    name: str,
    otherwise: Callable[..., Any],
    result: Any,
    *args: Any,
    aliases: dict[int, int] | None = None,
    layouts: tuple[Any, Any] = (None, None),
    vmap_method: str = "sequential",
    **attributes: Any,
) -> Any:
    """What the kernel `name` makes of `args` on a CPU, and `otherwise(*args)` everywhere else.

    **Arguments**

    - `name`: "file.symbol", the handler `symbol` of `file`.cc.
    - `otherwise`: the pure JAX function of the same meaning: on other platforms, without a compiler, and
      within `pure()`.
    - `result`: shape and dtype of the output (`jax.ShapeDtypeStruct`), or a tuple of them.
    - `aliases`: {number of an input: number of the output that takes over its buffer}.
    - `layouts`: (of the inputs, of the outputs), as in `jax.ffi.ffi_call`: the order of axes in memory.
    - `vmap_method`: as in `jax.ffi.ffi_call`; "sequential" loops over the batch, "broadcast_all" hands the
      kernel arrays with leading batch axes.
    - `attributes`: constants of the handler, NumPy scalars or strings.

    No gradient flows through a kernel: wrap the call in a `jax.custom_vjp` or `jax.custom_jvp`.
    """
    if not available(name.partition(".")[0]):
        return otherwise(*args)
    foreign = jax.ffi.ffi_call(
        _registered(name),
        result,
        vmap_method=vmap_method,
        input_output_aliases=aliases,
        input_layouts=layouts[0],
        output_layouts=layouts[1],
    )
    return lax.platform_dependent(
        *args, cpu=lambda *a: foreign(*a, **attributes), default=otherwise
    )


def prefer(kernel: Callable[..., Any], reference: Callable[..., Any]) -> Callable[..., Any]:
    """`reference`, computed by `kernel` where it is neither differentiated nor batched.

    Both take the same trees of arrays and give the same tree of arrays; neither may close over traced
    values. Derivatives, and what `vmap` makes of it, are those of `reference` itself.

    >>> import jax.numpy as jnp
    >>> f = prefer(lambda x: 100 * x, lambda x: x**2)
    >>> float(f(3.0)), float(jax.grad(f)(3.0)), jax.vmap(f)(jnp.arange(3.0)).tolist()
    (300.0, 6.0, [0.0, 1.0, 4.0])
    """

    @jax.custom_batching.custom_vmap
    def single(*args):
        return kernel(*args)

    @single.def_vmap
    def batch(size, batched, *args):
        axes = jax.tree.map(lambda has: 0 if has else None, tuple(batched))
        out = jax.vmap(reference, in_axes=axes, axis_size=size)(*args)
        return out, jax.tree.map(lambda _: True, out)

    @jax.custom_jvp
    def preferred(*args):
        return single(*args)

    @preferred.defjvp
    def tangent(primals, tangents):
        return jax.jvp(reference, primals, tangents)

    return preferred
