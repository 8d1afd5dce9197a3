"""Rules for principal components against scikit-learn's PCA, on the same samples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.decomposition import PCA

from neuropil.core import Batched, Managed, run, start
from neuropil.plasticity import Oja, OjaSubspace, principal_angles, principal_rows, second_moment
from neuropil.wiring import Dense

N, K = 6, 2
READS = {"pre": "input", "post": "output"}


def samples():
    """Centred samples, and their first principal components (rows)."""
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((300, N)) * [3, 2, 1, 0.7, 0.5, 0.3]) @ np.linalg.qr(
        rng.standard_normal((N, N))
    )[0]
    x -= x.mean(0)
    return jnp.asarray(x), PCA(K).fit(x).components_


def learned(rule, ticks=400):
    """The weight of a linear layer that has seen all samples at once, again and again."""
    x, _ = samples()
    first = 0.3 * np.random.default_rng(1).standard_normal((K, N))
    net = Managed(Batched(Dense(jnp.asarray(first)), len(x)), rule, "part.weight", READS)
    xs = jnp.broadcast_to(x, (ticks, *x.shape))
    return run(net, start(net, 1.0, jax.random.key(0)), xs, record=None)[0].state.theta


@pytest.mark.parametrize("explained", ["own", "earlier", "all"])
def test_oja_and_sanger(explained, x64):
    """Oja's cells all find the first component, Sanger's one each in turn; the subspace rule its span."""
    _, components = samples()
    w = learned(Oja(N, K, 0.03, explained))
    if explained == "all":
        assert float(principal_angles(w, jnp.asarray(components)).max()) < 0.1
        return
    wanted = components if explained == "earlier" else components[[0, 0]]
    sign = np.sign(np.sum(np.asarray(w) * wanted, 1, keepdims=True))
    np.testing.assert_allclose(sign * w, wanted, atol=1e-4)


def test_the_rows_that_subspace_rules_are_judged_by(x64):
    x, components = samples()
    rows = principal_rows(second_moment(x), K)
    sign = np.sign(np.sum(np.asarray(rows) * components, 1, keepdims=True))
    np.testing.assert_allclose(sign * rows, components, atol=1e-8)
    rule = OjaSubspace((K, N), rate=0.1)
    still = rule.learn(rows, 0 * rows, x, rows[:0])[0]
    assert float(principal_angles(still, jnp.asarray(components)).max()) < 0.1
