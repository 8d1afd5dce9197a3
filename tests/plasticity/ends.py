"""What rules are tried on."""

import jax

from neuropil.core import System


class Ends(System):
    """Two populations whose activity is given; only a place for the weight between them."""

    weight: jax.Array

    def init(self, dt, key):
        return ()

    def step(self, state, x, tick):
        return state, x
