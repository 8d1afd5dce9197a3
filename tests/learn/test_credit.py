"""Each learner of layered networks against its closed form."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest
from scipy.stats import rankdata

from neuropil.core import Chain, run, start
from neuropil.learn import (
    Backpropagation,
    CosinePrototypes,
    CounterCurrent,
    DirectFeedbackAlignment,
    FeedbackAlignment,
    ForwardForward,
    NodePerturbation,
    Paired,
    Perturbation,
    Prototypes,
    Supervised,
    TargetPropagation,
    Taught,
    Trainer,
    cross_entropy,
    evolution_strategies,
    layers,
    learnable,
    spsa,
    squared_error,
    unit_rms,
    weight_perturbation,
)
from neuropil.wiring import Dense

N, CLASSES = 7, 3
LABELS = np.arange(N) % CLASSES


def mlp(sizes, phi=jnp.tanh, *more, bias=True, seed=0):
    rng = np.random.default_rng(seed)
    parts = []
    for m, n in itertools.pairwise(sizes):
        weight = jnp.asarray(rng.standard_normal((n, m)) / np.sqrt(m), jnp.result_type(float))
        parts += [Dense(weight, 0.1 * jnp.ones(n) if bias else None), phi, *more]
    return Chain(*parts[: len(parts) - 1 - len(more)])


def data(n, labels=True, outputs=CLASSES, seed=1):
    rng = np.random.default_rng(seed)
    x = jnp.asarray(rng.standard_normal((N, n)), jnp.result_type(float))
    y = jnp.asarray(LABELS) if labels else jnp.asarray(rng.standard_normal((N, outputs)))
    return {"x": x, "y": y}


def direction(credit, net, batch, error=cross_entropy, key=None):
    """What a learner gives for each weight: [dW_1, ...], and for its own parameters."""
    learned, fixed = eqx.partition(net, learnable(net))
    key = jr.key(3) if key is None else key
    go = eqx.filter_jit(lambda c, l, b, k: c.gradient(Supervised(error), l, fixed, b, k))
    _, _, grad, own = go(credit, learned, batch, key)
    return [p.weight for p in grad.parts.values() if isinstance(p, Dense)], own


def close(a, b, **bound):
    for p, q in zip(a, b, strict=True):
        np.testing.assert_allclose(p, q, **{"rtol": 1e-9, "atol": 1e-12, **bound})


def test_feedback_alignment_with_the_forward_weights_is_backpropagation(x64):
    net, batch = mlp((5, 6, 4, 3), jnp.tanh, unit_rms), data(5)
    exact, _ = direction(Backpropagation(), net, batch)
    symmetric = FeedbackAlignment(tuple(layer.wiring for layer in layers(net)[1:]))
    close(direction(symmetric, net, batch)[0], exact)
    random = FeedbackAlignment.init(net, batch["x"][0], jr.key(0))
    aligned, _ = direction(random, net, batch)
    close(aligned[-1:], exact[-1:])  # the last layer needs no feedback
    assert abs(aligned[0] - exact[0]).max() > 1e-3


def test_feedback_alignment_is_its_equation(x64):
    net, batch = mlp((5, 6, 3), jnp.tanh, bias=False), data(5, labels=False)
    credit = FeedbackAlignment.init(net, batch["x"][0], jr.key(0))
    got, own = direction(credit, net, batch, squared_error)
    w1, w2 = (layer.wiring.weight for layer in layers(net))
    x, b = batch["x"], credit.feedback[0].weight
    a = jnp.tanh(x @ w1.T)
    e = a @ w2.T - batch["y"]
    close(got, [((e @ b) * (1 - a**2)).T @ x / N, e.T @ a / N])
    assert not jax.tree.leaves(own)  # the feedback is fixed


def test_direct_feedback_alignment_with_the_product_of_weights_is_backpropagation_of_a_linear_net(
    x64,
):
    net, batch = mlp((5, 6, 4, 3), lambda z: z), data(5)
    w = [layer.wiring.weight for layer in layers(net)]
    credit = DirectFeedbackAlignment(((w[2] @ w[1]).T, w[2].T))
    close(direction(credit, net, batch)[0], direction(Backpropagation(), net, batch)[0])


def orthogonal(n, seed):
    return jnp.asarray(np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0])


def test_target_propagation_in_an_invertible_linear_net(x64):
    """With exact inverses the error goes down through them; with orthogonal weights that is the gradient."""
    w = [orthogonal(4, k) @ jnp.diag(jnp.array([1.0, 2.0, 0.5, 1.5])) for k in range(4)]
    batch = data(4, labels=False, outputs=4)
    for weights, is_gradient in ((w, False), ([orthogonal(4, k) for k in range(4)], True)):
        net = Chain(*[Dense(m) for m in weights])
        credit = TargetPropagation.init(net, batch["x"][0], jr.key(0), activation=lambda z: z)
        where = lambda c: [g.wiring.weight for g in c.feedback]
        inverses = [jnp.linalg.inv(m) for m in weights[1:-1]]
        got, own = direction(eqx.tree_at(where, credit, inverses), net, batch, squared_error)
        a = [batch["x"]]
        for m in weights:
            a.append(a[-1] @ m.T)
        back = (a[4] - batch["y"]) @ weights[3]  # error at the last hidden layer
        wanted = [(a[4] - batch["y"]).T @ a[3] / N]
        for k in (3, 2, 1):
            wanted.insert(0, back.T @ a[k - 1] / N)
            back = back @ jnp.linalg.inv(weights[k - 1]).T
        close(got, wanted)
        exact, _ = direction(Backpropagation(), net, batch, squared_error)
        assert np.allclose(got[0], exact[0]) == is_gradient
        # exact inverses have nothing to learn
        close(jax.tree.leaves(own), [jnp.zeros((4, 4))] * 2)


def test_inverses_are_learned():
    net = mlp((4, 4, 4, 4), lambda z: z, bias=False)
    credit = TargetPropagation.init(net, jnp.ones(4), jr.key(0), activation=lambda z: z, noise=0.5)
    batch = jax.tree.map(jnp.float32, data(4, labels=False, outputs=4))
    still = optax.multi_transform(
        {"model": optax.set_to_zero(), "credit": optax.sgd(0.2)}, Taught("model", "credit")
    )
    trainer = Trainer(net, Supervised(squared_error), still, credit=credit)
    many = jax.tree.map(lambda a: jnp.broadcast_to(a, (400, *a.shape)), batch)
    carry, _ = run(trainer, start(trainer, 1.0, jr.key(0)), many)
    product = trainer.credit(carry).feedback[0].wiring.weight @ layers(net)[1].wiring.weight
    assert abs(product - jnp.eye(4)).mean() < 0.15
    assert jnp.array_equal(trainer.model(carry).parts["2"].weight, net.parts["2"].weight)


def test_forward_forward_has_its_hand_gradient(x64):
    net, batch = mlp((8, 6, 4, 3), jax.nn.relu, unit_rms, bias=False), data(8)
    credit = ForwardForward.init(net, batch["x"][0], jr.key(0), threshold=0.7)
    got, _ = direction(credit, net, batch)
    w1, w2, w3 = (layer.wiring.weight for layer in layers(net))
    wrong = (batch["y"] + jr.randint(jr.key(3), (N,), 1, CLASSES)) % CLASSES
    assert not (wrong == batch["y"]).any()
    rms = lambda a: a / jnp.sqrt(jnp.mean(a**2, -1, keepdims=True) + 1e-8)
    wanted = [jnp.zeros_like(w1), jnp.zeros_like(w2)]
    for sign, y in ((1, batch["y"]), (-1, wrong)):
        a = batch["x"].at[:, :CLASSES].set(jax.nn.one_hot(y, CLASSES))
        for k, w in enumerate((w1, w2)):
            h = jax.nn.relu(a @ w.T)
            goodness = jnp.sum(h**2, -1) - 0.7 * h.shape[1]
            p = 1 / (1 + jnp.exp(-sign * goodness))  # how sure the layer is of what is so
            wanted[k] = wanted[k] - sign * ((1 - p)[:, None] * 2 * h).T @ a / N
            a = rms(h)
    h = rms(jax.nn.relu(rms(jax.nn.relu(batch["x"] @ w1.T)) @ w2.T))
    wrong = jax.nn.softmax(h @ w3.T) - jax.nn.one_hot(batch["y"], CLASSES)
    close(got, [*wanted, wrong.T @ h / N])


@pytest.fixture
def countercurrent(x64):
    net, batch = mlp((5, 6, 4, 3), jax.nn.elu, bias=False), data(5)
    return CounterCurrent.init(net, batch["x"][0], jr.key(0)), net, batch


def test_counter_current_is_local_and_has_its_hand_gradient(countercurrent):
    credit, net, batch = countercurrent
    got, own = direction(credit, net, batch)
    w = [layer.wiring.weight for layer in layers(net)]
    b = [back.wiring.weight for back in credit.feedback]
    elu, slope = jax.nn.elu, lambda z: jnp.where(z > 0, 1.0, jnp.exp(z))
    a, z = [batch["x"]], []
    for k in range(3):
        z.append(a[-1] @ w[k].T)
        a.append(elu(z[-1]) if k < 2 else z[-1])
    c, u = [jnp.eye(CLASSES)], []
    for k in (2, 1, 0):
        u.insert(0, c[0] @ b[k].T)
        c.insert(0, elu(u[0]) if k else u[0])
    wanted = jax.nn.one_hot(batch["y"], CLASSES)
    # of the method card, with its factor 128 / d_i and the mean over samples and classes
    off = [2 * 128 / (a[i].shape[1] * CLASSES * N) * (a[i] @ c[i].T - wanted) for i in range(3)]
    forth = [((off[i] @ c[i]) * slope(z[i - 1])).T @ a[i - 1] for i in (1, 2)]
    out = (jax.nn.softmax(a[3]) - wanted).T @ a[2] / N
    close(got, [*forth, out])
    back = [(off[i].T @ a[i]) * (slope(u[i]) if i else 1.0) for i in range(3)]
    close(jax.tree.leaves(own), [back[i].T @ c[i + 1] for i in range(3)])
    frozen = eqx.tree_at(
        lambda c: c.feedback, CounterCurrent(credit.feedback, credit.match, True), credit.feedback
    )
    assert not jax.tree.leaves(direction(frozen, net, batch)[1])


def test_matches_are_zero_where_the_networks_agree(x64):
    eye = jnp.eye(CLASSES)
    labels = jnp.arange(CLASSES)
    for match in (Prototypes(), CosinePrototypes()):
        assert float(match(eye, match.top(labels, CLASSES), labels)) == pytest.approx(0, abs=1e-12)
        assert float(match(-eye, eye, labels)) > 0
    assert float(Paired(3.0)(eye, eye + 1, labels)) == pytest.approx(3.0)
    assert float(CosinePrototypes()(5 * eye, 7 * eye, labels)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", ["node", "weight", "spsa", "es"])
def test_perturbations_are_unbiased(name, x64):
    """The mean over many draws lies within five standard errors of the gradient, for every weight."""
    net, batch = mlp((3, 4, 2), jnp.tanh), data(3, labels=False, outputs=2)
    exact, _ = direction(Backpropagation(), net, batch, squared_error)
    credit = {
        "node": NodePerturbation(1e-5),
        "weight": weight_perturbation(1e-5),
        "spsa": spsa(1e-4),
        "es": evolution_strategies(1e-4, pairs=1, shaping=None),
    }[name]
    draw = lambda key: direction(credit, net, batch, squared_error, key)[0]
    many = jax.jit(jax.vmap(draw))(jr.split(jr.key(0), 4000))
    for got, g in zip(many, exact, strict=True):
        error = got.std(0) / np.sqrt(4000)
        assert (abs(got.mean(0) - g) < 5 * error + 1e-4).all()
        # a bias of a tenth of the gradient would have been seen
        assert error.mean() < 0.1 * abs(g).max()


def quadratic(theta, batch, key):
    return 0.5 * theta @ jnp.diag(jnp.array([1.0, 2.0, 3.0])) @ theta


def test_evolution_strategies_on_a_quadratic(x64):
    """Antithetic pairs are exact along each direction of a quadratic: g = <(grad . e) e>, whatever sigma."""
    theta, key = jnp.array([1.0, -1.0, 0.5]), jr.key(5)
    slope = jnp.array([1.0, -2.0, 1.5])
    plain = evolution_strategies(0.3, pairs=4, shaping=None)
    ways = jax.vmap(lambda k: plain.draw(theta, k))(jr.split(jr.fold_in(key, 1), 4))
    got = plain.gradient(quadratic, theta, None, None, key)[2]
    close([got], [(ways @ slope) @ ways / 4])
    ranked = evolution_strategies(0.3, pairs=4)
    losses = [quadratic(theta + s * 0.3 * w, None, None) for s in (1, -1) for w in ways]
    shaped = (rankdata(losses) - 1) / 7 - 0.5
    wanted = ((shaped[:4] - shaped[4:]) / 0.6) @ np.asarray(ways) / 4
    close([ranked.gradient(quadratic, theta, None, None, key)[2]], [wanted])


def test_spsa_moves_every_weight_by_the_same_amount(x64):
    theta = jnp.array([1.0, -1.0, 0.5])
    got = spsa(0.1).gradient(quadratic, theta, None, None, jr.key(0))[2]
    np.testing.assert_allclose(abs(got), abs(got[0]))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: weight_perturbation(-0.1), r"Perturbation.sigma = -0.1"),
        (lambda: NodePerturbation(0.1, samples=0), "samples = 0"),
        (lambda: TargetPropagation((), step=-1.0), r"TargetPropagation.step = -1"),
        (lambda: ForwardForward(3, threshold=-1.0), r"ForwardForward.threshold"),
        (lambda: Perturbation(shaping=abs), "antithetic"),
        (lambda: Prototypes(-1.0), r"Prototypes.scale"),
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()
