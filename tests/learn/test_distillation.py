"""Self-distillation: the teacher's running mean, centring, what is hidden; views; vision transformers."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest

from neuropil.blocks import VisionTransformer, patches
from neuropil.core import run, start
from neuropil.learn import Branch, Distilled, PrototypeHead, SelfDistillation, Trainer, distilling
from neuropil.worlds.views import RandomViews, phase_scrambled, resized, resized_crop

NET = VisionTransformer.init_normal(8, side=8, patch=4, depth=1, heads=2, key=jr.key(0))
MODEL = Distilled.of(
    Branch(NET, PrototypeHead.init_normal(8, 6, key=jr.key(1), hidden=8, narrow=4))
)


GO = eqx.filter_jit(lambda trainer, carry, images: run(trainer, carry, images))


def same(image, key):
    return image


@pytest.fixture(scope="module")
def trained():
    loss = SelfDistillation(same, momentum=0.9, centring=0.8)
    trainer = Trainer(MODEL, loss, distilling(optax.sgd(0.1)))
    first = start(trainer, 1.0, jr.key(2))
    images = jr.normal(jr.key(3), (1, 4, 8, 8))
    carry, out = GO(trainer, first, images)
    return trainer, carry, images[0], out, loss


def test_the_teacher_is_a_running_mean_of_students_and_the_centre_of_what_it_said(trained):
    trainer, carry, images, _, _ = trained
    after = trainer.model(carry)
    # at the first step student and teacher are one, so the teacher stays and the student moves
    for a, b in zip(jax.tree.leaves(after.teacher), jax.tree.leaves(MODEL.teacher), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    moved = [
        float(jnp.abs(a - b).max())
        for a, b in zip(jax.tree.leaves(after.student), jax.tree.leaves(MODEL.student), strict=True)
    ]
    assert max(moved) > 1e-4
    said = jax.vmap(MODEL.teacher)(images)
    want = 0.2 * np.stack([said[:, 0].mean(0), said[:, 1:].mean((0, 1))])
    np.testing.assert_allclose(after.centre, want, atol=1e-5)
    again, _ = GO(trainer, carry, images[None])
    one = trainer.model(again).teacher.head.prototypes
    want = 0.9 * MODEL.teacher.head.prototypes + 0.1 * after.student.head.prototypes
    np.testing.assert_allclose(one, want, atol=1e-5)


def test_the_loss_is_what_the_equation_says(trained):
    _, _, images, out, _loss = trained
    said = jax.vmap(MODEL.teacher)(images)[:, 0]
    p = jax.nn.softmax(
        said / 0.04
    )  # centre 0, both views the same image, but the student sees less
    assert float(out["class"][0]) >= float(-(p * jnp.log(p)).sum(1).mean()) - 1e-3
    value, metrics = eqx.filter_jit(SelfDistillation(same, hide=(0.0, 0.0)))(
        MODEL, images, jr.key(0)
    )
    want = -(p * jax.nn.log_softmax(said / 0.1)).sum(1).mean()
    assert float(metrics["class"]) == pytest.approx(float(want), rel=1e-5)
    assert float(metrics["patch"]) == 0
    assert float(value) == pytest.approx(float(want), rel=1e-5)


def test_what_is_hidden_reaches_no_token():
    image = jr.normal(jr.key(0), (8, 8))
    other = image.at[:4, :4].set(0.0)
    hidden = jnp.array([True, False, False, False])
    np.testing.assert_array_equal(NET(image, hidden), NET(other, hidden))
    assert not np.allclose(NET(image), NET(other))


def test_levels_end_in_what_the_network_says():
    image = jr.normal(jr.key(0), (8, 8))
    levels = NET.levels(image)
    np.testing.assert_allclose(levels[0], NET.embedded(image), atol=1e-6)
    np.testing.assert_allclose(jax.vmap(NET.norm)(levels[-1]), NET(image), atol=1e-5)
    with pytest.raises(ValueError, match="places"):
        NET(jnp.zeros((12, 12)))
    with pytest.raises(ValueError, match="not filled"):
        patches(jnp.zeros((9, 9)), 4)


def test_a_crop_of_everything_is_the_image_and_a_half_is_its_means():
    image = jr.normal(jr.key(0), (8, 8))
    np.testing.assert_allclose(resized_crop(image, 0, 0, 8, 8, 8), image, atol=1e-6)
    flat = resized(jnp.ones((1, 8, 8)), 3)
    np.testing.assert_allclose(flat, 1.0, atol=1e-6)
    part = resized_crop(image, 2, 3, 4, 4, 4)
    np.testing.assert_allclose(part, image[2:6, 3:7], atol=1e-6)


def test_views_stay_inside_the_image_and_differ():
    ramp = jnp.broadcast_to(jnp.arange(16.0)[:, None], (16, 16))
    still = RandomViews(8, light=0.0, contrast=0.0)
    seen = jax.vmap(lambda k: still(ramp, k))(jr.split(jr.key(0), 20))
    assert float(seen.min()) >= 0
    assert float(seen.max()) <= 15
    assert len(np.unique(np.asarray(seen[:, 0, 0]))) > 10


def test_scrambled_phases_keep_the_spectrum_and_lose_the_image():
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3)) + 5
    other = phase_scrambled(images, np.random.default_rng(1))
    power = lambda x: np.abs(np.fft.fft2(x, axes=(1, 2)))
    np.testing.assert_allclose(power(other), power(images), atol=1e-8)
    assert abs(np.corrcoef(images.ravel(), other.ravel())[0, 1]) < 0.3


@pytest.mark.parametrize(
    ("settings", "says"), [(dict(count=1), "count"), (dict(hide=(0.5, 0.1)), "hide")]
)
def test_bad_settings_are_refused(settings, says):
    with pytest.raises(ValueError, match=says):
        SelfDistillation(same, **settings)
