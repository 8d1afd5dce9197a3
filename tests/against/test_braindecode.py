"""EEGNet, Shallow and Deep ConvNet against braindecode with the same weights (an environment of its own)."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.fit.eegnets import DeepConvNet, EEGNet, ShallowConvNet, parameter_count

torch = pytest.importorskip("torch", reason="torch is not installed (comes with braindecode)")
models = pytest.importorskip("braindecode.models", reason="braindecode is not installed (a peer)")

CHANNELS, TIMES, CLASSES = 22, 1125, 4
X = np.random.default_rng(0).normal(size=(8, CHANNELS, TIMES)).astype(np.float32)


def arrays(net):
    """{name: array} of weights and averages of a torch network, made unlike their first values."""
    torch.manual_seed(0)
    for p in net.parameters():
        p.data += 0.05 * torch.randn_like(p)
    for name, b in net.named_buffers():
        if "running" in name:
            b.data += 0.3 * torch.rand_like(b)
    return {n: p.detach().numpy() for n, p in [*net.named_parameters(), *net.named_buffers()]}


def norm(ours, a, name):
    where = lambda n: (n.gain, n.shift, n.mean, n.var)
    names = ("weight", "bias", "running_mean", "running_var")
    ours = eqx.tree_at(where, ours, tuple(jnp.asarray(a[f"{name}.{n}"]) for n in names))
    return ours


def compare(net, there, counted):
    there.eval()
    with torch.no_grad():
        want = there(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(jax.jit(lambda x: net(x))(X), want, atol=1e-4, rtol=1e-4)
    assert parameter_count(net) == counted == sum(p.numel() for p in there.parameters())


def test_eegnet():
    there = models.EEGNet(n_chans=CHANNELS, n_outputs=CLASSES, n_times=TIMES)
    a = arrays(there)
    first = next(v for k, v in a.items() if k.startswith("conv_spatial"))
    spatial = first.reshape(8, 2, CHANNELS)
    size = np.linalg.norm(spatial, axis=-1, keepdims=True)
    spatial = spatial * np.minimum(1, 1 / size)  # braindecode clips as it computes
    net = EEGNet.init(CHANNELS, TIMES, CLASSES, taps=64, padding=(32, 32), key=jr.key(0))
    stem = eqx.tree_at(
        lambda s: (s.temporal, s.spatial, s.norm, s.norm2),
        net.branch.stem,
        (
            jnp.asarray(a["conv_temporal.weight"][:, 0, 0]),
            jnp.asarray(spatial),
            norm(net.branch.stem.norm, a, "bnorm_temporal"),
            norm(net.branch.stem.norm2, a, "bnorm_1"),
        ),
    )
    last = a["final_layer.conv_classifier.weight"][:, :, 0]
    net = eqx.tree_at(
        lambda n: (n.branch.stem, n.branch.separable.each, n.branch.separable.mix, n.branch.norm,
                   n.dense.weight, n.dense.bias),
        net,
        (
            stem,
            jnp.asarray(a["conv_separable_depth.weight"][:, 0, 0]),
            jnp.asarray(a["conv_separable_point.weight"][:, :, 0, 0]),
            norm(net.branch.norm, a, "bnorm_2"),
            jnp.asarray(last),
            jnp.asarray(a["final_layer.conv_classifier.bias"]),
        ),
    )  # fmt: skip
    compare(net, there, 3700)


def fused(part, a):
    where = lambda f: (f.temporal, f.bias, f.spatial)
    temporal = a["conv_time_spat.conv_time.weight"][:, 0, :, 0]
    spatial = a["conv_time_spat.conv_spat.weight"][:, :, 0, :]
    values = (temporal, a["conv_time_spat.conv_time.bias"], spatial)
    return eqx.tree_at(where, part, tuple(jnp.asarray(v) for v in values))


def last(part, a):
    weight = a["final_layer.conv_classifier.weight"][..., 0]
    values = (jnp.asarray(weight), jnp.asarray(a["final_layer.conv_classifier.bias"]))
    return eqx.tree_at(lambda d: (d.weight, d.bias), part, values)


def test_shallow():
    there = models.ShallowFBCSPNet(n_chans=CHANNELS, n_outputs=CLASSES, n_times=TIMES)
    a = arrays(there)
    sizes = dict(taps=25, width=75, stride=15, floor=1e-6)
    net = ShallowConvNet.init(CHANNELS, TIMES, CLASSES, key=jr.key(0), **sizes)
    parts = fused(net.fused, a), norm(net.norm, a, "bnorm"), last(net.dense, a)
    compare(eqx.tree_at(lambda n: (n.fused, n.norm, n.dense), net, parts), there, 47_364)


def test_deep():
    there = models.Deep4Net(n_chans=CHANNELS, n_outputs=CLASSES, n_times=TIMES)
    a = arrays(there)
    net = DeepConvNet.init(CHANNELS, TIMES, CLASSES, taps=10, width=3, bias=False, key=jr.key(0))
    kernels = [jnp.asarray(a[f"conv_{i}.weight"][..., 0]) for i in (2, 3, 4)]
    norms = [
        norm(n, a, k)
        for n, k in zip(net.norms, ("bnorm", "bnorm_2", "bnorm_3", "bnorm_4"), strict=True)
    ]
    parts = fused(net.fused, a), kernels, norms, last(net.dense, a)
    net = eqx.tree_at(lambda n: (n.fused, n.kernels, n.norms, n.dense), net, parts)
    compare(net, there, parameter_count(net))
