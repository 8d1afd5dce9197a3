"""How apical context c acts on what basal input r says: the transfers of two-point cells.

Source: Kay, Phillips (2020), Symmetry 12, 815 (T_M1 to T_M4); Adeel (2025), arXiv 2505.06257.

>>> amplify(jnp.array(1.0), jnp.array(0.0)).item(), saturate(jnp.array(0.0), jnp.array(5.0)).item()
(1.0, 0.0)
"""

import jax
import jax.numpy as jnp
from jax import Array


def amplify(r: Array, c: Array) -> Array:
    """T_M1 = r (1 + e^{r c}) / 2: context of the same sign strengthens, of the other weakens, never creates."""
    return 0.5 * r * (1 + jnp.exp(jnp.minimum(r * c, 30.0)))  # capped where floats would overflow


def modulate(r: Array, c: Array) -> Array:
    """T_M2 = r + r c: bilinear."""
    return r + r * c


def saturate(r: Array, c: Array) -> Array:
    """T_M3 = r (1 + tanh(r c)): at most doubled."""
    return r * (1 + jnp.tanh(r * c))


def power(r: Array, c: Array) -> Array:
    """T_M4 = r 2^{r c}."""
    return r * jnp.exp2(jnp.minimum(r * c, 40.0))


def cooperate(r: Array, c: Array) -> Array:
    """ReLU6(r^2 + 2 r + c (1 + |r|)): context acts by itself too (Adeel 2025)."""
    return jax.nn.relu6(r**2 + 2 * r + c * (1 + jnp.abs(r)))
