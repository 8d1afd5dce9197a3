"""Quantisers of numbers: cells by hand, and the variance they explain on the simulated bursts."""

import jax.numpy as jnp
import numpy as np
import pytest

from neuropil.blocks.scalars import ScalarQuantiser
from neuropil.fit.sampletokens import explained
from neuropil.worlds.bursts import bursts, shifted


def test_mu_law_cells_are_uniform_in_the_compressed_number():
    part = ScalarQuantiser.mu_law(8, limit=2.0)
    y = lambda x: np.sign(x) * np.log1p(255 * np.abs(x) / 2) / np.log(256)
    np.testing.assert_allclose(y(np.asarray(part.edges)), np.linspace(-0.75, 0.75, 7), atol=1e-6)
    assert part.encode(part.levels).tolist() == list(range(8))
    assert part.encode(jnp.array([-99.0, 99.0])).tolist() == [0, 7]


def test_quantile_cells_hold_as_many_and_levels_are_their_means():
    x = np.random.default_rng(0).exponential(size=4000)
    part = ScalarQuantiser.quantile(x, 5)
    codes = np.asarray(part.encode(jnp.asarray(x, jnp.float32)))
    assert (np.abs(np.bincount(codes) - 800) <= 1).all()
    np.testing.assert_allclose(part.levels, [x[codes == k].mean() for k in range(5)], rtol=1e-3)


def test_refusals():
    with pytest.raises(ValueError, match="one more"):
        ScalarQuantiser(jnp.zeros(3), jnp.zeros(3))
    with pytest.raises(ValueError, match="too few"):
        ScalarQuantiser.quantile(np.array([0.0, 1.0] * 50), 8)


@pytest.mark.parametrize(
    ("codes", "want"),
    [(16, (97.8, 97.9, 95.4)), (32, (99.3, 99.5, 99.0)), (64, (99.8, 99.9, 99.7))],
)
def test_variance_explained_on_the_simulated_bursts(codes, want):
    """Numbers of the method card, measured on one draw of the simulator of the paper's code."""
    x = bursts(shifted((7.0, 17.0), 2, 0.0), 300.0).x[0]
    makes = (
        ScalarQuantiser.quantile(x, codes),
        ScalarQuantiser.uniform(codes),
        ScalarQuantiser.mu_law(codes),
    )
    single = jnp.asarray(x, jnp.float32)
    got = [explained(x, np.asarray(part.decode(part.encode(single)))) for part in makes]
    np.testing.assert_allclose(got, want, atol=0.25)
