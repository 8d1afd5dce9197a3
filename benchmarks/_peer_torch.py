"""Worker of train_lif.py for the libraries on torch; runs in their own environment, without neuropil."""

from __future__ import annotations

import json
from importlib.metadata import version

import _common as c
import _task as t

LIBRARIES = ["snntorch", "spikingjelly"]


def snntorch_net(net, layers):
    """The documented time loop: one cell call a step. x (time, batch, ...) -> (time, batch, output)."""
    import snntorch
    import torch
    from snntorch import surrogate

    g = surrogate.atan(alpha=2.0)
    cell = lambda: snntorch.Leaky(t.BETA, spike_grad=g, reset_delay=False)
    one, two = cell(), cell()

    def run(x):
        m1, m2, out = one.init_leaky(), two.init_leaky(), []
        s1 = 0.0
        for now in x:
            if net == "recurrent":
                heard = layers[1](s1) if torch.is_tensor(s1) else 0.0
                s1, m1 = one(layers[0](now) + heard, m1)
                out.append(s1)
                continue
            s1, m1 = one(layers[0](now), m1)
            if net == "conv":
                out.append(s1.flatten(1))
                continue
            s2, m2 = two(layers[1](s1), m2)
            out.append(s2)
        return layers[-1](torch.stack(out))

    return run


def spikingjelly_net(net, layers):
    """Layer by layer over the whole time axis (step mode "m"), its fastest way on a CPU."""
    import torch
    from spikingjelly.activation_based import functional, neuron, surrogate

    def cell(mode):
        return neuron.LIFNode(
            tau=1 / (1 - t.BETA),
            decay_input=False,
            v_reset=None,
            surrogate_function=surrogate.ATan(),
            step_mode=mode,
        )

    one, two = cell("s" if net == "recurrent" else "m"), cell("m")

    def run(x):
        functional.reset_net(one)
        functional.reset_net(two)
        if net == "recurrent":
            driven, s, out = layers[0](x), None, []
            for now in driven:
                s = one(now if s is None else now + layers[1](s))
                out.append(s)
            return layers[-1](torch.stack(out))
        if net == "conv":
            maps = layers[0](x.flatten(0, 1))
            return layers[-1](one(maps.unflatten(0, x.shape[:2])).flatten(2))
        return layers[2](two(layers[1](one(layers[0](x)))))

    return run


def main() -> None:
    """Measure one library, print one line of JSON."""
    options = t.options(__doc__, LIBRARIES)
    c.pin()
    import torch

    torch.set_num_threads(c.THREADS)
    given = t.task(options.steps, options.batch, options.net)
    x, y = torch.from_numpy(given.x), torch.from_numpy(given.y)
    layers = [
        torch.nn.Linear(w.shape[1], w.shape[0])
        if w.ndim == 2
        else torch.nn.Conv2d(w.shape[1], w.shape[0], w.shape[2:], stride=2)
        for w in given.weights
    ]
    with torch.no_grad():
        for layer, w in zip(layers, given.weights, strict=True):
            layer.weight.copy_(torch.from_numpy(w))
            layer.bias.zero_()
    make = {"snntorch": snntorch_net, "spikingjelly": spikingjelly_net}[options.worker]
    run = make(options.net, layers)
    adam = torch.optim.Adam([p for layer in layers for p in layer.parameters()], lr=t.RATE)
    losses = []

    def step():
        adam.zero_grad(set_to_none=True)
        logits = run(x).mean(0)
        loss = torch.nn.functional.cross_entropy(logits, y)
        loss.backward()
        adam.step()
        losses.append(loss.item())

    found = c.clock_both(step, options.repeats)
    print(
        json.dumps(
            {
                "library": f"{options.worker} {version(options.worker)}, torch {torch.__version__}",
                **found,
                "losses": losses,
                "peak_gb": c.peak(),
            }
        )
    )


if __name__ == "__main__":
    main()
