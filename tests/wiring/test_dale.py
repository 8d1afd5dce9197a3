"""Signs that last: the parametrisation, and the projection after the optimiser."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest

from neuropil.core import advance, start
from neuropil.learn import Trainer, keep_signs, scale_gradients
from neuropil.wiring import Dense, Signed, blocks, signs

SIZES = {"E": 8, "I": 4}
KINDS = signs(SIZES)


def trained(net, tx, steps=60):
    """The net after steps of a task that pulls its weights through zero."""
    goal = jnp.asarray(np.random.default_rng(3).normal(size=(12, 12)), jnp.float32)

    def loss(model, batch, key):
        return jnp.mean((jax.vmap(model.forward)(batch) - batch @ goal.T) ** 2)

    trainer = Trainer(net, loss, tx)
    carry = start(trainer, 1.0, jr.key(0))
    first = last = None
    step = jax.jit(lambda c, x: advance(trainer, c, x))
    for i in range(steps):
        carry, out = step(carry, jr.normal(jr.fold_in(jr.key(1), i), (32, 12)))
        first = out["loss"] if first is None else first
        last = out["loss"]
    assert last < 0.9 * first
    return trainer.model(carry)


def test_parametrised_signs_survive_training_with_a_zero_diagonal():
    net = Signed.dale(Dense.init_normal(12, 12, jr.key(0)), KINDS, loops=False)
    after = np.asarray(trained(net, optax.adam(0.05)).weight)
    off = ~np.eye(12, dtype=bool)
    assert (np.diag(after) == 0).all()
    assert (
        np.sign(after)[off] == np.broadcast_to(KINDS, (12, 12))[off]
    ).mean() > 0.99  # the rest is 0
    assert (after * KINDS >= 0).all()
    assert abs(after - np.asarray(net.weight)).max() > 0.1


@pytest.mark.parametrize("given", ["weight", {"weight": KINDS[None]}])
def test_projected_signs_survive_training(given):
    size = jnp.abs(Dense.init_normal(12, 12, jr.key(0)).weight)
    net = Dense(size * jnp.asarray(KINDS, jnp.float32)[None] * (1 - jnp.eye(12)))
    after = np.asarray(trained(net, optax.chain(optax.sgd(0.2, 0.9), keep_signs(given))).weight)
    assert (after * KINDS >= 0).all()
    assert (after == 0).sum() > 12  # some are clipped, to exactly 0
    if given == "weight":  # zeros at the start stay zeros
        assert (np.diag(after) == 0).all()


def test_a_clipped_weight_comes_back_with_its_sign():
    tx = keep_signs("*")
    theta = {"w": jnp.array([0.5, -0.5])}
    state = tx.init(theta)
    for push, want in (
        (-2.0, [0.0, -2.5]),
        (2.0, [2.0, -0.5]),
        (2.0, [4.0, 0.0]),
        (-1.0, [3.0, -1.0]),
    ):
        step, state = tx.update({"w": jnp.full(2, push)}, state, theta)
        theta = optax.apply_updates(theta, step)
        assert theta["w"].tolist() == want


def test_sparse_block_wiring_keeps_its_signs():
    edges = blocks(SIZES, {"E>I": 0.6, "I>E": 0.6, "E>E": 0.5, "I>I": 0.5}, jr.key(0))
    net = Signed.of(edges.wiring(0.3 * KINDS[edges.pre]))
    x = jr.normal(jr.key(1), (12,))
    np.testing.assert_allclose(net.forward(x), net.part.forward(x), rtol=1e-6)
    after = trained(net, optax.adam(0.05))
    changed = np.asarray(after.weight)
    assert (changed * np.asarray(net.sign) >= 0).all()
    for cell in range(12):
        y = np.asarray(after.forward(jnp.zeros(12).at[cell].set(1.0)))
        assert (y * KINDS[cell] >= 0).all()
    np.testing.assert_allclose(
        jnp.vdot(x, after.transpose(x)), jnp.vdot(after.forward(x), x), rtol=1e-5
    )


def test_scaled_gradients_touch_what_their_pattern_fits():
    tx = optax.chain(scale_gradients({"weight": 0.0}), optax.sgd(0.1))
    net = grads = Dense(jnp.ones((12, 12)), jnp.ones(12))
    step, _ = tx.update(grads, tx.init(net), net)
    assert float(jnp.abs(step.weight).max()) == 0
    assert float(step.bias[0]) == pytest.approx(-0.1)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Signed(Dense(jnp.ones((2, 3))), jnp.array([[2, 1, 1]])), "-1, 0"),
        (lambda: Signed(Dense(jnp.ones((2, 3))), jnp.ones(2)), "do not fit"),
        (lambda: Signed.dale(Dense(jnp.ones((2, 3))), [1, -1]), "one a column"),
        (lambda: keep_signs("*.q").init({"w": jnp.ones(2)}), "fits"),
        (lambda: scale_gradients({"q": 1.0}).init({"w": jnp.ones(2)}), "fits"),
        (lambda: keep_signs("w").update({"w": jnp.ones(2)}, {}), "needs the parameters"),
    ],
)
def test_signs_that_make_no_sense_are_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_low_rank_wiring_has_no_weight_to_sign():
    from neuropil.wiring import LowRank

    with pytest.raises(ValueError, match="holds no field"):
        Signed(LowRank(jnp.ones((3, 1)), jnp.ones((4, 1))), jnp.ones((3, 4)))
