"""The shape of a neuron: a tree of cylindrical compartments."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jax import Array

from neuropil.core import Part, param

SOMA, AXON, BASAL, APICAL = 1, 2, 3, 4
"""Kinds of compartments, numbered as in SWC files."""


class Tree(Part):
    r"""A tree of cylinders: compartment k hangs on compartment `parent[k]`, which comes before it.

    Lateral area and axial resistance between the middles of a compartment and of its parent:

    $$A_k = \pi d_k l_k, \qquad r_k = \rho_k + \rho_p, \quad \rho = R_i \frac{l / 2}{\pi d^2 / 4}$$

    The ends are sealed. A sphere is a cylinder as long as wide: it has the same area.

    **Arguments**

    - `parent`: one number a compartment; -1 for the first (the root, usually the soma), else one that is
      smaller than the compartment's own number.
    - `length`, `diameter` (um), shape (compartment,) or one number for all.
    - `kind`: one number a compartment as in SWC files (1 soma, 2 axon, 3 basal, 4 apical); default: 1 for
      the root, 3 for the others.

    >>> tree = Tree((-1, 0, 1, 0), 50.0, 2.0)
    >>> tree.n, tree.leaves
    (4, (2, 3))
    >>> bool(jnp.allclose(tree.area(), jnp.pi * 100))
    True

    Raises ValueError where the parents are no tree in this order, and for sizes that are not positive.
    """

    parent: tuple[int, ...] = eqx.field(static=True)
    length: Array = param(unit="um", bounds=(0, None), axes=("compartment",))
    diameter: Array = param(unit="um", bounds=(0, None), axes=("compartment",))
    kind: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, parent: Any, length: Any, diameter: Any, kind: Any = None):
        self.parent = tuple(int(p) for p in parent)
        n = len(self.parent)
        if not n or self.parent[0] != -1:
            raise ValueError(f"Tree: parents {self.parent[:5]}... must begin with -1, the root")
        wrong = [k for k, p in enumerate(self.parent) if k and not 0 <= p < k]
        if wrong:
            k = wrong[0]
            raise ValueError(
                f"Tree: compartment {k} has parent {self.parent[k]}, which does not come before it; "
                "number the compartments from the root outwards"
            )
        sizes = {}
        for name, size in (("length", length), ("diameter", diameter)):
            size = jnp.asarray(size, jnp.result_type(float))
            if size.shape not in ((), (n,)):
                raise ValueError(
                    f"Tree: {name} has shape {size.shape} but there are {n} compartments"
                )
            if not isinstance(size, jax.core.Tracer) and not np.all(np.asarray(size) > 0):
                raise ValueError(f"Tree.{name} must be positive everywhere (um)")
            sizes[name] = jnp.broadcast_to(size, (n,))
        self.length, self.diameter = sizes["length"], sizes["diameter"]
        self.kind = (SOMA, *[BASAL] * (n - 1)) if kind is None else tuple(int(k) for k in kind)
        if len(self.kind) != n:
            raise ValueError(f"Tree: {len(self.kind)} kinds but {n} compartments")

    @staticmethod
    def cylinder(length: float | int, diameter: float | int, n: int) -> Tree:
        """An unbranched cable cut into n equal compartments, numbered from one end.

        >>> Tree.cylinder(1000.0, 2.0, 4).length.tolist()
        [250.0, 250.0, 250.0, 250.0]
        """
        return Tree(range(-1, n - 1), length / n, diameter, [BASAL] * n)

    @staticmethod
    def star(
        branches: int,
        length: float | int,
        diameter: float | int,
        n: int,
        *,
        soma: float | int = 20.0,
    ) -> Tree:
        """A spherical soma (compartment 0, diameter `soma`) and equal branches of n compartments each.

        Compartment k of branch b (k from 0 at the soma) has number 1 + b n + k. With one branch: the ball
        and stick.

        >>> Tree.star(2, 100.0, 1.0, 2).parent
        (-1, 0, 1, 0, 3)
        """
        parent = [-1]
        for b in range(branches):
            parent += [0] + [b * n + k for k in range(1, n)]
        many = branches * n
        lengths, diameters = [soma] + [length / n] * many, [soma] + [diameter] * many
        return Tree(parent, lengths, diameters)

    @staticmethod
    def read_swc(path: str | Path, longest: float | int = 50.0) -> Tree:
        """The tree of an SWC file, its branches cut into equal compartments of at most `longest` um.

        The soma is one compartment: a sphere where it is given by one point or by the usual three, else a
        cylinder of its points' path length and mean diameter. A branch's compartments take the mean
        diameter along their stretch. Points are numbered as they like, parents in any order.

        Raises ValueError for a file that is no SWC tree, naming the line or the point.

        Source: Cannon et al. (1998), J. Neurosci. Methods 84, 49 (the format).
        """
        from neuropil.dendrites.swc import read_swc

        return Tree(*read_swc(path, float(longest)))

    @property
    def n(self) -> int:
        """Number of compartments."""
        return len(self.parent)

    @property
    def leaves(self) -> tuple[int, ...]:
        """Compartments that nothing hangs on."""
        return tuple(sorted(set(range(self.n)) - set(self.parent)))

    def of_kind(self, kind: int) -> Array:
        """1.0 in compartments of a kind, 0.0 elsewhere: a mask for densities of channels."""
        return jnp.asarray([float(k == kind) for k in self.kind], jnp.result_type(float))

    def path_length(self) -> Array:
        """Distance (um) of the middle of each compartment from the middle of the root, along the tree."""
        up = jnp.asarray([max(p, 0) for p in self.parent])
        gap = (self.length + self.length[up]) / 2
        on_path = np.zeros((self.n, self.n))
        for k, p in enumerate(self.parent[1:], 1):
            on_path[k] = on_path[p]
            on_path[k, k] = 1
        return jnp.asarray(on_path, gap.dtype) @ gap

    def area(self) -> Array:
        """Lateral area (um2) of each compartment."""
        return math.pi * self.diameter * self.length

    def axial(self, resistivity: Array) -> Array:
        """Conductance (uS) between each compartment and its parent; 0 for the root.

        `resistivity` R_i in ohm cm: one number, or one a compartment.
        """
        half = resistivity * (self.length / 2) / (math.pi / 4 * self.diameter**2) / 100  # MOhm
        up = jnp.asarray([max(p, 0) for p in self.parent])
        coupled = jnp.asarray([float(p >= 0) for p in self.parent], half.dtype)
        return coupled / (half + half[up])
