"""Layers of torch modules by hooks: values, pooling, padding, and the module left as it was."""

import numpy as np
import pytest

from neuropil.recordings.torchlib import layer_names, timm_images, torch_layers

torch = pytest.importorskip(
    "torch", reason="needs torch: PYTHONPATH=<site-packages with torch> pytest tests/against"
)
nn = torch.nn
RNG = np.random.default_rng(0)


class Vision(nn.Module):
    """In the form of a model of timm: `pretrained_cfg`, stages, a head."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.stages = nn.Sequential(nn.Sequential(nn.ReLU(), nn.Dropout(0.5)), nn.Conv2d(4, 6, 3))
        self.head = nn.Linear(6, 2)
        self.spare = nn.Linear(2, 2)
        self.pretrained_cfg = {
            "mean": (0.5, 0.4, 0.3),
            "std": (0.2, 0.2, 0.1),
            "input_size": (3, 8, 8),
        }

    def forward(self, x):
        return self.head(self.stages(self.stem(x)).mean((2, 3)))


class Block(nn.Module):
    """As in transformers: hidden states first in a tuple."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Linear(5, 5)

    def forward(self, x):
        return self.mix(x), None


class Text(nn.Module):
    """As a model of transformers: called by name, gives an object with last_hidden_state."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 5)
        self.block = Block()

    def forward(self, input_ids, attention_mask):
        from types import SimpleNamespace

        return SimpleNamespace(last_hidden_state=self.block(self.embed(input_ids))[0])


def test_layers_of_a_vision_model_are_those_of_its_parts():
    torch.manual_seed(0)
    net = Vision().train()
    images = RNG.integers(0, 256, (5, 8, 8, 3), np.uint8)
    x = timm_images(net, images)
    np.testing.assert_allclose(
        x[2, 1], (images[2, :, :, 1] / 255 - 0.4) / 0.2, rtol=1e-5, atol=1e-6
    )
    names = ["stem", "stages.0", "head", "output"]
    seen = torch_layers(net, x, names, batch=2, trials={"stimulus": range(5)})
    assert net.training
    assert net.stages[0][1].training
    assert not net.stem._forward_hooks
    net.eval()
    with torch.no_grad():
        stem = net.stem(torch.as_tensor(x))
        relu = stem.relu()
        out = net(torch.as_tensor(x)).numpy()
    np.testing.assert_allclose(
        seen["stem"].to_numpy()[:, 0], stem.numpy().reshape(5, -1), atol=1e-6
    )
    np.testing.assert_allclose(
        seen["stages.0"].to_numpy()[:, 0], relu.numpy().reshape(5, -1), atol=1e-6
    )
    np.testing.assert_allclose(seen["output"].to_numpy()[:, 0], out, atol=1e-6)
    np.testing.assert_array_equal(seen["head"].to_numpy(), seen["output"].to_numpy())
    means = torch_layers(net, x, "stem", pool="mean")["stem"]
    np.testing.assert_allclose(means.to_numpy()[:, 0], stem.numpy().mean((2, 3)), atol=1e-6)
    few = torch_layers(net, x, "stem", project=20, batch=2)["stem"]
    assert few.shape == (5, 1, 20)
    again = torch_layers(net, x, "stem", project=20, batch=5)["stem"]
    np.testing.assert_allclose(few.to_numpy(), again.to_numpy(), atol=1e-5)
    assert few.about["source"] == "torch Vision, layer stem"
    assert "stages.1" in layer_names(net)


def test_padding_does_not_count_in_the_mean_over_tokens():
    torch.manual_seed(0)
    net = Text()
    tokens = {
        "input_ids": RNG.integers(0, 11, (3, 4)),
        "attention_mask": np.array([[1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]]),
    }
    seen = torch_layers(net, tokens, ["block", "output"], pool="mean", batch=2)
    with torch.no_grad():
        whole = net(**{k: torch.as_tensor(v) for k, v in tokens.items()}).last_hidden_state.numpy()
    want = [whole[0, :2].mean(0), whole[1].mean(0), whole[2, 0]]
    for name in ("block", "output"):
        np.testing.assert_allclose(seen[name].to_numpy()[:, 0], want, atol=1e-6)
    first = torch_layers(net, tokens, "block", pool="first")["block"].to_numpy()[:, 0]
    np.testing.assert_allclose(first, whole[:, 0], atol=1e-6)


def test_what_is_not_there_is_said():
    net, x = Vision(), np.zeros((2, 3, 8, 8), np.float32)
    with pytest.raises(KeyError, match=r"the nearest is 'stages\.1'"):
        torch_layers(net, x, "stages.9")
    with pytest.raises(KeyError, match="was not called"):
        torch_layers(net, x, "spare")
    with pytest.raises(ValueError, match="resize"):
        timm_images(net, np.zeros((1, 9, 9, 3)))
    with pytest.raises(ValueError, match="pretrained_cfg"):
        timm_images(net.head, np.zeros((1, 8, 8, 3)))
    with pytest.raises(ValueError, match="as many of each"):
        torch_layers(net, x[:0], "stem")
    with pytest.raises(TypeError, match="no torch module"):
        layer_names(object())
