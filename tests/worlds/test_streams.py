import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.worlds import datasets
from neuropil.worlds.datasets.images import Images
from neuropil.worlds.streams import (
    Normal,
    average_accuracy,
    backward_transfer,
    forgetting,
    permuted,
    rotated,
    split,
    standard,
)

RAW = Normal(0.0, 1.0)


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


def test_permuted_is_the_permuted_image_and_needs_no_copy(digits):
    stream = permuted(digits, 3, jr.key(0), normal=RAW)
    x, y = stream.sample(2, jnp.arange(5))
    flat = digits.train_x[:5].reshape(5, -1) / 255
    order = np.asarray(stream.plan.order[2])
    np.testing.assert_allclose(x, flat[:, order], rtol=1e-6)
    np.testing.assert_array_equal(y, digits.train_y[:5])
    assert x.dtype == jnp.float32
    assert sorted(order) == list(range(64))
    assert stream.train.x.dtype == jnp.uint8
    longer = permuted(digits, 4, jr.key(0), normal=RAW)
    np.testing.assert_array_equal(longer.plan.order[:3], stream.plan.order)
    first = permuted(digits, 2, jr.key(0), normal=RAW, keep_first=True)
    np.testing.assert_array_equal(first.plan.order[0], np.arange(64))


def test_equal_keys_give_equal_streams_also_by_reseed_under_jit(digits):
    stream = permuted(digits, 2, jr.key(0), normal=RAW)
    again = jax.jit(lambda s, k: s.reseed(k).sample(1, jnp.arange(3)))(stream, jr.key(5))
    direct = permuted(digits, 2, jr.key(5), normal=RAW).sample(1, jnp.arange(3))
    np.testing.assert_array_equal(again[0], direct[0])
    assert not np.array_equal(direct[0], stream.sample(1, jnp.arange(3))[0])


def test_standard_normalises_the_training_pixels(digits):
    stream = permuted(digits, 1, jr.key(0), normal=standard(digits))
    x, _ = stream.sample(0, jnp.arange(stream.size(0)))
    assert abs(float(x.mean())) < 1e-4
    assert abs(float(x.std()) - 1) < 1e-4


def test_epoch_takes_every_image_once_and_k_may_be_traced(digits):
    stream = permuted(digits, 2, jr.key(0), normal=RAW)
    rows = jax.jit(lambda k: stream.epoch(k, jr.key(1), 10))(1)
    assert rows.shape == (143, 10)
    assert len(np.unique(rows)) == rows.size
    assert stream.epoch(0, jr.key(1), 10, n=100).shape == (10, 10)
    with pytest.raises(ValueError, match="has 1433 images"):
        stream.epoch(0, jr.key(1), 10, n=5000)
    with pytest.raises(ValueError, match="mini-batch of 0"):
        stream.epoch(0, jr.key(1), 0)
    with pytest.raises(ValueError, match="part='valid' is unknown"):
        stream.size(0, "valid")


@pytest.mark.parametrize("shuffle", [False, True])
def test_split_gives_each_task_its_classes(digits, shuffle):
    stream = split(digits, 5, jr.key(3), normal=RAW, heads="own", shuffle=shuffle)
    assert stream.classes == 2
    assert sorted(np.asarray(stream.plan.classes).ravel()) == list(range(10))
    assert sum(stream.size(k) for k in range(5)) == len(digits.train_y)
    for part in ("train", "test"):
        at = jnp.arange(stream.size(4, part))
        rows = stream.train if part == "train" else stream.test
        original = np.asarray(rows.y)[np.asarray(rows.order)[int(rows.starts[4]) + np.asarray(at)]]
        classes = np.asarray(stream.plan.classes[4])
        _, y = stream.sample(4, at, part)
        assert set(original) == set(classes.tolist())
        np.testing.assert_array_equal(classes[np.asarray(y)], original)


def test_split_under_jit_needs_n_and_stays_in_its_task(digits):
    stream = split(digits, 5, jr.key(3), normal=RAW)
    assert stream.classes == 10

    def draw(s, k, key):
        s = s.reseed(key)
        rows = s.epoch(k, jr.key(1), 20, n=200)
        return s.sample(k, rows.ravel())[1]

    labels = jax.jit(draw)(stream, 3, jr.key(0))
    assert set(np.asarray(labels).tolist()) == {6, 7}
    with pytest.raises(ValueError, match="say how many images with n="):
        jax.jit(lambda k: stream.epoch(k, jr.key(1), 20))(0)


def test_rotation_by_right_angles_is_exact(digits):
    stream = rotated(digits, 4, jr.key(0), normal=RAW, angles=(0.0, 90.0, 180.0, 270.0))
    sample = eqx.filter_jit(stream.sample)
    for k in range(4):
        x, _ = sample(k, jnp.arange(3))
        want = np.rot90(digits.train_x[:3], k, axes=(1, 2)).reshape(3, -1) / 255
        np.testing.assert_allclose(x, want, atol=2e-5)
    drawn = rotated(digits, 4, jr.key(0), normal=RAW)
    assert bool(((drawn.plan.angle >= 0) & (drawn.plan.angle < 180)).all())
    assert len(np.unique(drawn.plan.angle)) == 4


def test_mixed_tasks_in_one_batch(digits):
    stream = permuted(digits, 3, jr.key(0), normal=RAW)
    ks, at = jnp.array([0, 2, 1]), jnp.array([4, 5, 6])
    x, _ = jax.vmap(stream.sample)(ks, at)
    for i in range(3):
        np.testing.assert_allclose(x[i], stream.sample(int(ks[i]), at[i])[0])


def test_scores_by_hand_and_blind_above_the_diagonal():
    A = np.array([[0.9, np.nan, np.nan], [0.7, 0.8, np.nan], [0.8, 0.5, 0.9]])
    assert average_accuracy(A) == pytest.approx((0.8 + 0.5 + 0.9) / 3)
    assert backward_transfer(A) == pytest.approx((-0.1 - 0.3) / 2)
    assert forgetting(A) == pytest.approx((0.1 + 0.3) / 2)
    full = np.where(np.isnan(A), 1.0, A)
    assert forgetting(full) == pytest.approx(forgetting(A))
    assert forgetting(jnp.asarray(A)) == pytest.approx(forgetting(A))
    # the best may come after the task's own turn
    B = np.array([[0.5, 0, 0], [0.9, 0.8, 0], [0.4, 0.8, 0.9]])
    assert forgetting(B) == pytest.approx((0.5 + 0.0) / 2)


def test_bad_input_is_named(digits):
    with pytest.raises(ValueError, match=r"A\[1, 0\] is NaN"):
        average_accuracy(np.array([[0.9, 0.0], [np.nan, 0.8]]))
    with pytest.raises(ValueError, match="at least 2 tasks"):
        forgetting(np.array([[0.9]]))
    with pytest.raises(ValueError, match="10 classes cannot be split in 3"):
        split(digits, 3, jr.key(0), normal=RAW)
    with pytest.raises(ValueError, match="2 angles for 3 tasks"):
        rotated(digits, 3, jr.key(0), normal=RAW, angles=(0.0, 1.0))
    with pytest.raises(ValueError, match="0 tasks has nothing"):
        permuted(digits, 0, jr.key(0), normal=RAW)
    x, y = digits.train_x, digits.train_y
    with pytest.raises(ValueError, match="label 9 but only 2 class names"):
        Images(x, y, x, y, name="toy", source="", classes=("a", "b"))
