"""Writes the fixtures beside it: nets of snnTorch, exported by its own exporter, with inputs and spikes.

Run where torch, snntorch 1.0.0, nir 1.0.8 and nirtorch 2.6 are installed: python tests/nir/make_fixtures.py
"""

from pathlib import Path

import nir
import numpy as np
import snntorch as snn
import torch
from snntorch.export_nir import export_to_nir

HERE = Path(__file__).parent
STEPS = 60


def leaky(n, **more):
    """One time constant and threshold a cell, so that the exporter knows the shape."""
    beta = torch.linspace(0.6, 0.95, n)
    return snn.Leaky(beta=beta, threshold=torch.linspace(0.8, 1.2, n), init_hidden=True, **more)


def synaptic(n):
    alpha, beta = torch.linspace(0.5, 0.8, n), torch.linspace(0.7, 0.9, n)
    return snn.Synaptic(alpha=alpha, beta=beta, threshold=torch.ones(n), init_hidden=True)


def forward():
    wires = torch.nn.Linear(6, 8), torch.nn.Linear(8, 5, bias=False)
    return torch.nn.Sequential(wires[0], leaky(8), wires[1], synaptic(5)), (6,), 3.0


def zero():
    return torch.nn.Sequential(torch.nn.Linear(6, 8), leaky(8, reset_mechanism="zero")), (6,), 3.0


def prompt():
    return torch.nn.Sequential(torch.nn.Linear(6, 8), leaky(8, reset_delay=False)), (6,), 1.5


def recurrent():
    cell = snn.RLeaky(beta=torch.tensor(0.85), linear_features=7, init_hidden=True)
    return torch.nn.Sequential(torch.nn.Linear(6, 7), cell), (6,), 3.0


class Image(torch.nn.Module):
    """A convolutional net; the cells' parameters have the shape of a feature map."""

    def __init__(self):
        super().__init__()
        shape = (3, 6, 6)
        self.conv = torch.nn.Conv2d(2, 3, 3, stride=1, padding=1)
        self.cell = snn.Leaky(
            beta=torch.full(shape, 0.8), threshold=torch.ones(shape), init_hidden=True
        )
        self.pool = torch.nn.AvgPool2d(2)
        self.flat = torch.nn.Flatten()
        self.out = torch.nn.Linear(27, 4)
        self.last = leaky(4)

    def forward(self, x):
        return self.last(self.out(self.flat(self.pool(self.cell(self.conv(x))))))


def image():
    return Image(), (2, 6, 6), 6.0


for make in (forward, zero, prompt, recurrent, image):
    torch.manual_seed(0)
    net, shape, gain = make()
    with torch.no_grad():
        for p in net.parameters():
            if p.ndim > 1:
                p.mul_(gain)
        x = (torch.rand(STEPS, 1, *shape) < 0.4).float()
        graph = export_to_nir(net, x[0], ignore_dims=[0])
        for module in net.modules():
            if isinstance(module, snn.SpikingNeuron):
                module.reset_mem()
        spikes = torch.stack([net(one) for one in x])
    name = f"snntorch_{make.__name__}"
    nir.write(HERE / f"{name}.nir", graph)
    x, spikes = (a[:, 0].numpy().astype(np.uint8) for a in (x, spikes))
    np.savez_compressed(HERE / f"{name}.npz", inputs=x, spikes=spikes)
    print(name, "rate", spikes.mean().round(3), sorted(graph.nodes), graph.edges)
