"""Windows lie where they say, every one comes once an epoch, the order is the seed's."""

import jax
import numpy as np
import pytest

from neuropil.fit.stream import Windows, stream
from neuropil.recordings import Recording

DRAW = np.random.default_rng(0)


def recordings():
    one = Recording.from_array(DRAW.normal(size=(2, 50, 3)), rate=10.0, unit="uV")
    mask = np.ones((1, 50), bool)
    mask[0, 17] = False
    two = Recording.from_array(
        DRAW.normal(size=(1, 50, 3)), rate=10.0, unit="uV", mask=mask[..., None]
    )
    return [one, two]


def test_windows_are_cut_where_they_say_and_leave_out_what_is_masked():
    recs = recordings()
    windows = Windows(recs, 1.0, 0.5)
    assert len(windows) == 9 + 9 + 9 - 2  # two of the last recording's hold its masked sample
    for i in (0, 10, 20):
        item = windows[i]
        at = round(item["begin"] * 10)
        want = recs[item["recording"]].data.values[item["trial"], at : at + 10].T
        np.testing.assert_allclose(item["x"], want, rtol=1e-6)
    with pytest.raises(ValueError, match="different"):
        Windows([recs[0], Recording.from_array(np.zeros((1, 50, 2)), rate=10.0, unit="uV")], 1.0)
    with pytest.raises(ValueError, match="shorter"):
        Windows(recs, 9.0)


def test_an_epoch_shows_every_window_once_in_the_seeds_order():
    pytest.importorskip("grain", reason="needs the extra neuropil[stream]")
    windows = Windows(recordings()[:1], 0.5)
    where = lambda b: [tuple(r) for r in np.stack([b["trial"], 10 * b["begin"]], 1).astype(int)]
    order = lambda seed, epochs=1: [
        p for b in stream(windows, 4, seed=seed, epochs=epochs) for p in where(b)
    ]
    first = order(0)
    assert len(first) == len(set(first)) == 20
    assert first == order(0) != order(1)
    twice = order(0, 2)
    assert twice[:20] == first
    assert twice[20:] != first
    batch = next(iter(stream(windows, 4, devices=jax.devices())))
    assert batch["x"].shape == (4, 3, 5)
    assert isinstance(batch["x"], jax.Array)
    with pytest.raises(ValueError, match="20 windows"):
        next(stream(windows, 21))
