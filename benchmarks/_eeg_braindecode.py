"""Worker of eeg_step.py for braindecode; runs in its own environment, without neuropil."""

from __future__ import annotations

import json
import sys
import types
from importlib.machinery import ModuleSpec
from importlib.metadata import version

import _common as c
import numpy as np


def without_torchaudio() -> None:
    """Only other models of the package use it, and there is no build of it for every processor."""
    try:
        import torchaudio  # noqa: F401
    except ImportError:
        for name in ("torchaudio", "torchaudio.functional", "torchaudio.transforms"):
            sys.modules[name] = types.ModuleType(name)
            sys.modules[name].__spec__ = ModuleSpec(name, None)
            sys.modules[name].__getattr__ = lambda n: None if n.startswith("__") else object
        sys.modules["torchaudio"].functional = sys.modules["torchaudio.functional"]
        sys.modules["torchaudio"].transforms = sys.modules["torchaudio.transforms"]


def main() -> None:
    c.pin()
    model, channels, times, batch, repeats = sys.argv[1], *(int(a) for a in sys.argv[2:6])
    without_torchaudio()
    import torch
    import torch.nn.functional as F
    from braindecode import models

    torch.set_num_threads(c.THREADS)
    kind = {"eegnet": "EEGNet", "shallow": "ShallowFBCSPNet", "deep": "Deep4Net"}[model]
    net = getattr(models, kind)(n_chans=channels, n_outputs=4, n_times=times)
    net.train()
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.standard_normal((batch, channels, times)).astype(np.float32))
    y = torch.from_numpy(rng.integers(0, 4, batch))
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)

    def step():
        optimiser.zero_grad(set_to_none=True)
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimiser.step()
        loss.item()

    count = sum(p.numel() for p in net.parameters())
    print(
        json.dumps(
            c.clock_both(step, repeats) | {"version": version("braindecode"), "parameters": count}
        )
    )


if __name__ == "__main__":
    main()
