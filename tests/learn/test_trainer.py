"""The trainer: closed form, against a hand-written loop, patience, guard, seeds, resume."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest

from neuropil.cells import LIF, LeakyIntegrator
from neuropil.core import SEEDS, Batched, Chain, advance, parameters, run, start
from neuropil.learn import NonFiniteError, Trainer, evaluate, learnable, minibatches, train
from neuropil.wiring import Dense


def square(w, batch, key):
    return 0.5 * jnp.sum((w - batch) ** 2)


def noisy(w, batch, key):
    return jnp.mean((w * batch["x"] + 0.1 * jr.normal(key, ()) - batch["y"]) ** 2)


@pytest.fixture
def line():
    x = np.linspace(-1, 1, 40, dtype=np.float32)
    return {"x": x, "y": 3 * x}


def same(a, b):
    plain = lambda t: [np.asarray(jr.key_data(x) if _is_key(x) else x) for x in jax.tree.leaves(t)]
    return all((p == q).all() for p, q in zip(plain(a), plain(b), strict=True))


def _is_key(x):
    return jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def test_gradient_descent_on_a_quadratic_has_its_closed_form(x64):
    trainer = Trainer(jnp.zeros(3), square, optax.sgd(0.1))
    target = jnp.array([1.0, -2.0, 4.0])
    carry = start(trainer, 1.0, jr.key(0))
    carry, out = run(trainer, carry, jnp.broadcast_to(target, (25, 3)))
    np.testing.assert_allclose(trainer.model(carry), (1 - 0.9**25) * target, rtol=1e-12)
    np.testing.assert_allclose(out["loss"], 0.5 * 21.0 * 0.81 ** np.arange(25), rtol=1e-12)
    np.testing.assert_allclose(out["grad_norm"], 21.0**0.5 * 0.9 ** np.arange(25), rtol=1e-12)


def test_same_as_a_loop_written_by_hand_with_clipping_and_a_schedule(key):
    mlp = eqx.nn.MLP(3, 2, 8, 1, key=key)
    tx = optax.chain(
        optax.clip_by_global_norm(0.5), optax.adamw(optax.cosine_decay_schedule(1e-2, 20))
    )
    xs = jr.normal(jr.key(1), (12, 5, 3))

    def loss(model, batch, key):
        return jnp.mean((jax.vmap(model)(batch) - 1.0) ** 2)

    params, rest = eqx.partition(mlp, eqx.is_inexact_array)
    opt = tx.init(params)

    @jax.jit
    def by_hand(params, opt, x):
        value, g = jax.value_and_grad(lambda p: loss(eqx.combine(p, rest), x, None))(params)
        updates, opt = tx.update(g, opt, params)
        return optax.apply_updates(params, updates), opt, value

    values = []
    for x in xs:
        params, opt, value = by_hand(params, opt, x)
        values.append(value)
    trainer = Trainer(mlp, loss, tx)
    carry, out = run(trainer, start(trainer, 1.0, key), xs)
    np.testing.assert_allclose(out["loss"], values, rtol=1e-6)
    got = eqx.filter(trainer.model(carry), eqx.is_inexact_array)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


def test_minibatches_are_a_partition_that_changes_with_the_key():
    a, b = minibatches(jr.key(0), 10, 3), minibatches(jr.key(1), 10, 3)
    assert a.shape == (3, 3)
    assert len(set(np.asarray(a).ravel().tolist())) == 9
    assert not (a == b).all()


def test_early_stopping_keeps_the_best_parameters(line):
    # the validation wants w = 1, the training data w = 3: on the way it passes 1 and then grows worse
    valid = {"x": line["x"], "y": line["x"]}
    trainer = Trainer(jnp.zeros(()), noisy, optax.sgd(0.05), patience=3)
    fit = train(trainer, line, epochs=60, batch=10, key=jr.key(0), valid=valid)
    assert fit.why == "patience"
    scores = fit.epochs["valid.loss"]
    assert len(scores) == scores.argmin() + 1 + 3
    assert abs(float(fit.model) - 1) < 0.25 < abs(float(trainer.model(fit.carry)) - 1)
    assert evaluate(trainer, fit.carry, valid, 10)["loss"] == pytest.approx(scores[-1])


def test_evaluate_is_the_mean_over_samples_whatever_the_batch(line):
    trainer = Trainer(
        jnp.ones(()), lambda w, b, k: jnp.mean((w * b["x"] - b["y"]) ** 2), optax.sgd(1)
    )
    carry = start(trainer, 1.0, jr.key(0))
    whole = float(np.mean((2 * line["x"]) ** 2))
    assert evaluate(trainer, carry, line)["loss"] == pytest.approx(whole)
    assert evaluate(trainer, carry, line, 15)["loss"] == pytest.approx(whole)


def test_watching_a_metric_that_should_rise(line):
    def loss(w, batch, key):
        value = jnp.mean((w * batch["x"] - batch["y"]) ** 2)
        return value, {"accuracy": -value}

    trainer = Trainer(
        jnp.zeros(()), loss, optax.sgd(0.5), patience=2, watch="accuracy", better="higher"
    )
    fit = train(trainer, line, epochs=30, batch=10, key=jr.key(0), valid=line)
    assert float(fit.model) == pytest.approx(3, abs=1e-3)
    wrong = Trainer(jnp.zeros(()), loss, optax.sgd(0.5), patience=2, watch="acuracy")
    with pytest.raises(KeyError, match="accuracy"):
        train(wrong, line, epochs=1, batch=10, key=jr.key(0), valid=line)


def test_the_guard_names_array_step_and_origin_and_keeps_the_last_finite_parameters():
    def loss(model, batch, key):
        return jnp.mean(jnp.log(2.0 - model["w"] * batch)) + 0.0 * model["v"]

    # the gradient drives w upward until the logarithm's argument is negative
    trainer = Trainer({"w": jnp.ones(()), "v": jnp.ones(())}, loss, optax.sgd(0.4))
    with pytest.warns(RuntimeWarning, match=r"step \d+: loss was not finite .*log"):
        fit = train(trainer, jnp.ones(8), epochs=5, batch=4, key=jr.key(0), progress=False)
    w, at = 1.0, 0
    while w < 2:
        w, at = w + 0.4 / (2 - w), at + 1
    assert trainer.culprit(fit.carry) == ("loss", at)
    assert np.isfinite(fit.model["w"])
    assert float(fit.model["w"]) == pytest.approx(w, rel=1e-5)
    assert f"step {at}:" in fit.why
    with pytest.raises(NonFiniteError) as caught:
        train(trainer, jnp.ones(8), epochs=5, batch=4, key=jr.key(0), on_nan="raise")
    assert same(caught.value.fit.carry, fit.carry)


def test_the_guard_names_the_gradient_where_the_loss_is_finite():
    def loss(model, batch, key):
        return model["a"] * jnp.mean(batch) + jnp.sqrt(model["b"])

    trainer = Trainer({"a": jnp.ones(()), "b": jnp.zeros(())}, loss, optax.sgd(0.1))
    carry, _ = run(trainer, start(trainer, 1.0, jr.key(0)), jnp.ones((4, 2)))
    assert trainer.culprit(carry) == ("gradient of b", 0)
    assert trainer.model(carry) == {"a": 1.0, "b": 0.0}


def test_seeds_under_vmap_equal_one_by_one(line):
    make = lambda k: Trainer(jr.normal(k, ()), noisy, optax.adam(0.1))
    keys = jr.split(jr.key(3), 4)
    batches = jax.tree.map(lambda a: jnp.asarray(a).reshape(4, 10), line)
    trainer = make(keys[0])
    go = jax.jit(lambda c: run(trainer, c, batches)[0])
    begin = jax.vmap(lambda k: start(make(k), 1.0, k), out_axes=SEEDS)
    together = jax.vmap(go, (SEEDS,), SEEDS)(begin(keys))
    for n, k in enumerate(keys):
        alone = trainer.model(go(start(make(k), 1.0, k)))
        np.testing.assert_allclose(trainer.model(together)[n], alone, rtol=1e-6)


def test_resume_from_the_middle_of_an_epoch_is_bit_equal(line, tmp_path):
    trainer = Trainer(jnp.zeros(()), noisy, optax.adam(0.1))
    whole = train(trainer, line, epochs=4, batch=8, key=jr.key(0))
    half = train(trainer, line, epochs=2, batch=8, key=jr.key(0))
    leaves, tree = jax.tree.flatten(half.carry)
    np.savez(tmp_path / "carry", *[jr.key_data(a) if _is_key(a) else a for a in leaves])
    stored = np.load(tmp_path / "carry.npz")
    read = [stored[name] for name in stored.files]
    again = [jr.wrap_key_data(a) if _is_key(b) else a for a, b in zip(read, leaves, strict=True)]
    back = jax.tree.unflatten(tree, again)
    assert same(train(trainer, line, epochs=2, batch=8, carry=back).carry, whole.carry)
    carry, batches = start(trainer, 1.0, jr.key(0)), None
    from neuropil.core import fold

    step = eqx.filter_jit(advance)
    for i in range(7):  # one epoch (5 steps) and two steps by hand, then go on
        order = minibatches(jr.fold_in(fold(carry.key, "shuffle"), i // 5), 40, 8)
        batches = jax.tree.map(lambda a, o=order, i=i: jnp.asarray(a)[o[i % 5]], line)
        carry, _ = step(trainer, carry, batches)
    assert same(train(trainer, line, epochs=3, batch=8, carry=carry).carry, whole.carry)


def test_what_learns_is_said_and_can_be_chosen(key):
    net = Chain(wire=Dense(jnp.ones((2, 3)), jnp.zeros(2)), cell=LIF(2))
    loss = lambda model, batch, key: jnp.sum(model.parts["cell"].tau)
    assert Trainer(net, loss, optax.sgd(1.0)).learned() == ["parts.wire.weight", "parts.wire.bias"]
    tau = Trainer(net, loss, optax.sgd(1.0), learn="*.tau")
    assert tau.learned() == ["parts.cell.tau"]
    carry, _ = run(tau, start(tau, 1.0, key), jnp.zeros((3, 1)))
    assert float(tau.model(carry).parts["cell"].tau) == 17.0
    assert "inner.fast.learned.parts.cell.tau" in parameters(tau, carry)
    with pytest.raises(ValueError, match=r"no array fits '\*\.tua'"):
        learnable(net, ("*.tua",))
    with pytest.raises(ValueError, match="no array that learns"):
        Trainer(LIF(2), loss, optax.sgd(1.0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": {"x": np.zeros(0)}}, "empty"),
        ({"data": {}}, "empty"),
        ({"data": {"x": np.zeros(4), "y": np.zeros(5)}}, "different lengths"),
        ({"data": {"x": np.array([0.0, np.nan, 0, 0])}}, "NaN"),
        ({"data": {"x": np.float32(1)}}, "one number"),
        ({"batch": 41}, "batch = 41 but there are 40"),
        ({"epochs": 0}, "epochs = 0"),
        ({"key": None}, "give key="),
        ({"trainer": Trainer(jnp.zeros(()), noisy, optax.sgd(1), patience=2)}, "validate on"),
    ],
)
def test_bad_input_is_refused_in_one_line_before_anything_compiles(change, message, line):
    def never(*a):
        raise AssertionError("compiled")

    given = {"trainer": Trainer(jnp.zeros(()), never, optax.sgd(1)), "data": line, "epochs": 1}
    given |= {"batch": 10, "key": jr.key(0)} | change
    with pytest.raises(ValueError, match=message) as caught:
        train(given.pop("trainer"), given.pop("data"), **given)
    assert "\n" not in str(caught.value)


def test_bad_settings_of_a_trainer():
    with pytest.raises(TypeError, match=r"optax\.adam"):
        Trainer(jnp.zeros(2), square, 0.1)
    with pytest.raises(ValueError, match="patience = 0"):
        Trainer(jnp.zeros(2), square, optax.sgd(1), patience=0)
    trainer = Trainer(jnp.zeros(2), lambda w, b, k: w, optax.sgd(1))
    with pytest.raises(ValueError, match=r"jnp\.mean"):
        run(trainer, start(trainer, 1.0, jr.key(0)), jnp.ones((1, 2)))


def test_a_spiking_network_learns_exclusive_or(key):
    """Four patterns of two input groups, early or late; the class is their exclusive or."""
    bits = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    label = bits[:, 0] ^ bits[:, 1]
    xs = np.zeros((4, 10, 4), np.float32)
    for pattern, (a, b) in enumerate(bits):
        xs[pattern, 1:9, a] = xs[pattern, 1:9, 2 + b] = 1
    k1, k2 = jr.split(key)
    net = Chain(
        wire=Dense.init_normal(4, 20, k1),
        cell=LIF(20, tau=10.0, drive="jump"),
        out=Dense.init_normal(20, 2, k2),
        read=LeakyIntegrator(2, tau=20.0),
    )

    def loss(model, batch, key):
        system = Batched(model, 4)
        _, ys = run(system, start(system, 1.0, key), jnp.swapaxes(batch["x"], 0, 1))
        logits = ys.mean(0)
        right = (logits.argmax(-1) == batch["label"]).mean()
        each = optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"])
        return each.mean(), {"accuracy": right}

    trainer = Trainer(net, loss, optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.03)))
    fit = train(trainer, {"x": xs, "label": label}, epochs=120, batch=4, key=key, progress=False)
    assert fit.why == "finished"
    assert fit.steps["accuracy"][-20:].min() == 1
    assert fit.steps["loss"][-1] < 0.1 < fit.steps["loss"][0]
    assert sorted(trainer.learned()) == ["parts.out.weight", "parts.wire.weight"]
