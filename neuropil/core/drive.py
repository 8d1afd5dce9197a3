"""What arrives at a node: plain arrays, named ports, or the current and conductance of a membrane."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp


class Drive(eqx.Module):
    r"""Input of a membrane that depends on its voltage: $I(v) = \text{current} - \text{conductance}\; v$.

    A conductance g with reversal potential E is `Drive(g * E, g)`. Drives add, with each other and with a
    plain array (a current). A cell that integrates its leak exactly does so with the conductance too.

    - `current`: in the input unit of the cell; `conductance`: in that unit a mV.

    >>> both = Drive(jnp.ones(2), jnp.full(2, 0.5)) + jnp.ones(2)
    >>> both.current.tolist(), both.conductance.tolist(), both.at(jnp.array(2.0)).tolist()
    ([2.0, 2.0], [0.5, 0.5], [1.0, 1.0])
    """

    current: Any
    conductance: Any

    @staticmethod
    def of(x: Any) -> Drive:
        """A drive as it is; an array as a current; None as no input."""
        if isinstance(x, Drive):
            return x
        return Drive(jnp.zeros(()) if x is None else x, jnp.zeros(()))

    def at(self, v: Any) -> Any:
        """The current at a voltage."""
        return self.current - self.conductance * v

    def __add__(self, other: Any) -> Drive:
        other = Drive.of(other)
        return Drive(self.current + other.current, self.conductance + other.conductance)

    __radd__ = __add__


def add(a: Any, b: Any) -> Any:
    """Sum of two inputs of a node.

    Either may be None. Dictionaries (named ports) are joined, port by port; a plain array that meets a
    dictionary arrives at its port "current"; a plain array that meets a `Drive` is a current.
    """
    if a is None or b is None:
        return b if a is None else a
    if isinstance(a, dict) or isinstance(b, dict):
        a, b = (x if isinstance(x, dict) else {"current": x} for x in (a, b))
        return {name: add(a.get(name), b.get(name)) for name in sorted(a | b)}
    if isinstance(a, Drive) or isinstance(b, Drive):
        return Drive.of(a) + b
    return jax.tree.map(jnp.add, a, b)


class To:
    """Sends what arrives to a named port of the node behind: x -> {port: x}.

    >>> To("ampa")(1.0)
    {'ampa': 1.0}
    """

    def __init__(self, port: str):
        self.port = port

    def __call__(self, x: Any) -> dict[str, Any]:
        return {self.port: x}

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, To) and self.port == other.port

    def __hash__(self) -> int:
        return hash((To, self.port))

    def __repr__(self) -> str:
        return f"To({self.port!r})"
