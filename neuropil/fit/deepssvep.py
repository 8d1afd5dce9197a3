r"""Deep-SSVEP: a network over sub-bands, channels and time, trained on all people, then on one.

$$h_1 = \sum_s a_s x_s, \quad h_2 = W_2 h_1 + b_2, \quad h_3 = W_3 * h_2 \text{ (2 taps, stride 2)}, \quad
  h_4 = W_4 * \mathrm{ReLU}(h_3) \text{ (10 taps)}, \quad y = W_5 h_4 + b_5$$

with dropout after h_2, h_3 and (0.95) h_4. But for one ReLU it is linear: with zero biases logits(c x) =
c logits(x) for c > 0. Source: Guney, Oblokulov, Ozkan 2022, IEEE TBME 69:932; official code.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Key

from neuropil.blocks.dropout import dropout
from neuropil.blocks.filtering import convolve
from neuropil.fit.eegparts import Dense, EEGNetwork


class DeepSSVEP(EEGNetwork):
    """Input (trial, band * channel, time), the bands one after another (`filter_bank`), in microvolts.

    There is no norm anywhere and first weights are normal with deviation `scale`, so the size of the input
    is part of the setting: a deviation of 5 to 10.

    >>> net = DeepSSVEP.init(3 * 9, 100, 40, bands=3, key=jr.key(0))
    >>> sum(a.size for a in jax.tree.leaves(net)), net(jnp.zeros((2, 27, 100))).shape
    (414283, (2, 40))

    Raises ValueError where bands do not divide the rows.
    """

    band: Float[Array, " band"]
    spatial: Float[Array, "feature channel"]
    spatial_bias: Float[Array, " feature"]
    halve: Float[Array, "feature feature2 tap"]
    halve_bias: Float[Array, " feature"]
    filter: Float[Array, "feature feature2 tap2"]
    filter_bias: Float[Array, " feature"]
    dense: Dense
    drops: tuple[float, float, float] = eqx.field(static=True)

    @staticmethod
    def init(
        channels: int,
        times: int,
        classes: int,
        *,
        key: Key[Array, ""],
        rate: float | int = 250.0,
        bands: int = 3,
        features: int = 120,
        scale: float = 0.01,
        drops: tuple[float, float, float] = (0.1, 0.1, 0.95),
    ) -> DeepSSVEP:
        """`channels` is bands x electrodes; `drops`: after the spatial, the halving and the last filter."""
        if channels % bands:
            raise ValueError(f"{channels} rows cannot be shared by {bands} sub-bands")
        one, two, three, four = jr.split(key, 4)
        draw = lambda key, shape: scale * jr.normal(key, shape)
        dense = Dense(classes, features, times // 2, four)
        dense = eqx.tree_at(lambda d: d.weight, dense, draw(four, dense.weight.shape))
        zero = jnp.zeros(features)
        return DeepSSVEP(
            jnp.ones(bands),
            draw(one, (features, channels // bands)),
            zero,
            draw(two, (features, features, 2)),
            zero,
            draw(three, (features, features, 10)),
            zero,
            dense,
            drops,
        )

    def layers(self, x, seeds):
        seeds = [None] * 3 if seeds is None else seeds
        bands, times = len(self.band), x.shape[-1] // 2
        x = jnp.einsum("s,scbt->cbt", self.band, x.reshape(bands, -1, *x.shape[1:]))
        x = jnp.einsum("fc,cbt->fbt", self.spatial, x) + self.spatial_bias[:, None, None]
        x = dropout(x, self.drops[0], seeds[0])
        pairs = x[..., : 2 * times].reshape(*x.shape[:2], times, 2)
        x = jnp.einsum("ofk,fbtk->obt", self.halve, pairs) + self.halve_bias[:, None, None]
        x = jax.nn.relu(dropout(x, self.drops[1], seeds[1]))
        x = convolve(x, self.filter, "same") + self.filter_bias[:, None, None]
        return self.dense(dropout(x, self.drops[2], seeds[2])), jnp.zeros(())

    def sites(self):
        return 3
