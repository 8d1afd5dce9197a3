"""Layers of torch modules as recordings, timm's and transformers' among them. torch is imported when used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .layers import Shaper, digest
from .recording import Recording


def _torch():
    try:
        import torch
    except ImportError as err:
        raise ImportError("layers of torch modules need torch: pip install torch") from err
    return torch


def layer_names(module: Any) -> list[str]:
    """The names of a torch module's parts, in their order.

    Raises TypeError for something that is no torch module.
    """
    if not hasattr(module, "named_modules"):
        raise TypeError(f"{type(module).__name__} is no torch module: use module_layers")
    return [name for name, _ in module.named_modules() if name]


def torch_layers(
    module: Any,
    stimuli: Any,
    layers: str | Sequence[str],
    *,
    call: Callable[[Any, Any], Any] | None = None,
    pool: str = "flatten",
    channel: int | None = None,
    project: int | None = None,
    seed: int = 0,
    batch: int = 32,
    device: str | None = None,
    trials: Mapping[str, Any] | None = None,
    about: Mapping[str, str] | None = None,
) -> dict[str, Recording]:
    """Activity of named layers of a torch module, for every stimulus: {layer: Recording (stimulus, 1, unit)}.

    **Arguments**
    - `stimuli`: an array (stimulus, ...) that the module takes in batches (for timm see `timm_images`), or a
      dictionary of such arrays (what a tokeniser of transformers gives), which is passed by name; `call(module,
      batch)` says otherwise. With "attention_mask" among them, a mean over tokens leaves padding out;
    - `layers`: names as in `module.named_modules()` (`layer_names`), or "output". Where a part gives several
      tensors, the first is taken (hidden states of transformers); a part that is called several times shows its
      last value;
    - `pool`, `channel`, `project`, `seed`: as in `neuropil.recordings.layers`, batch by batch, so that no whole
      layer of all stimuli is ever held;
    - `device`: where to run (None: where its parameters are).

    The module is in evaluation mode and without gradients while it runs, and afterwards as it was.

    Raises KeyError for a layer that is not there (it names the nearest), or was not called; TypeError for a
    part that gives no tensor.
    """
    torch = _torch()
    names = [layers] if isinstance(layers, str) else list(layers)
    parts = dict(module.named_modules())
    for name in names:
        if name != "output" and (name not in parts or not name):
            raise KeyError(f"there is no layer {name!r}; {_near(name, layer_names(module))}")
    by_name = isinstance(stimuli, Mapping)
    given = {k: np.asarray(v) for k, v in stimuli.items()} if by_name else np.asarray(stimuli)
    lengths = {len(v) for v in given.values()} if by_name else {len(given)}
    if len(lengths) != 1 or lengths == {0}:
        raise ValueError(
            f"The stimuli have lengths {sorted(lengths)}: give as many of each, 1 or more."
        )
    n = lengths.pop()
    first = next(module.parameters(), None)
    where = device or (first.device if first is not None else "cpu")
    dtype = first.dtype if first is not None else torch.float32
    seen: dict[str, Any] = {}
    hooks = [
        parts[name].register_forward_hook(_keep(name, seen)) for name in names if name != "output"
    ]
    modes = [(part, part.training) for part in module.modules()]
    shapers = {name: Shaper(pool, channel, project, seed) for name in names}
    kept: dict[str, list[np.ndarray]] = {name: [] for name in names}

    def put(array):
        tensor = torch.as_tensor(array, device=where)
        return tensor.to(dtype) if tensor.is_floating_point() else tensor

    try:
        module.eval()
        with torch.no_grad():
            for low in range(0, n, batch):
                rows = slice(low, low + batch)
                seen.clear()
                if by_name:
                    inputs = {k: put(v[rows]) for k, v in given.items()}
                    out = module(**inputs) if call is None else call(module, inputs)
                else:
                    out = (
                        module(put(given[rows])) if call is None else call(module, put(given[rows]))
                    )
                seen["output"] = out
                mask = (
                    given["attention_mask"][rows] if by_name and "attention_mask" in given else None
                )
                for name in names:
                    if name not in seen:
                        raise KeyError(
                            f"layer {name!r} is a part of the module, but was not called"
                        )
                    kept[name].append(shapers[name](_array(seen[name], name), mask))
    finally:
        for hook in hooks:
            hook.remove()
        for part, training in modes:
            part.training = training
    weights = digest([p.detach().cpu().float().numpy() for p in module.parameters()])
    source = f"torch {type(module).__name__}"
    return {k: shapers[k].recording(kept[k], k, source, weights, trials, about) for k in names}


def _keep(name: str, seen: dict):
    def hook(part, inputs, output):
        seen[name] = output

    return hook


def _array(output: Any, name: str) -> np.ndarray:
    """The first tensor of what a part gave, as an array."""
    torch = _torch()
    while not isinstance(output, torch.Tensor):
        if getattr(output, "last_hidden_state", None) is not None:
            output = output.last_hidden_state
        elif isinstance(output, Mapping) and output:
            output = next(iter(output.values()))
        elif isinstance(output, tuple | list) and output:
            output = output[0]
        else:
            raise TypeError(f"layer {name!r} gives {type(output).__name__}, which holds no tensor")
    return output.detach().float().cpu().numpy()


def _near(name: str, names: Sequence[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, names, 1, 0)
    return f"the nearest is {near[0]!r}" if near else "the module has no named parts"


def timm_images(module: Any, images: Any) -> np.ndarray:
    """Images (image, y, x, 3), bytes or 0..1, as a model of timm wants them: (image, 3, y, x), less the mean
    and over the deviation that its configuration (`pretrained_cfg`) names. They are not resized.

    Raises ValueError for another size than the model's, and for a model without a configuration.
    """
    settings = getattr(module, "pretrained_cfg", None) or getattr(module, "default_cfg", None)
    if not settings or "mean" not in settings:
        raise ValueError(f"{type(module).__name__} has no pretrained_cfg: is it a model of timm?")
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] != 3:
        raise ValueError(f"images have shape {images.shape}: give (image, y, x, 3)")
    size = tuple(settings.get("input_size", (3, *images.shape[1:3]))[1:])
    if size != images.shape[1:3] and settings.get("fixed_input_size", True):
        raise ValueError(
            f"the model takes {size} and the images are {images.shape[1:3]}: resize them"
        )
    x = images / 255 if images.dtype == np.uint8 else images
    mean, deviation = (np.asarray(settings[k], np.float32) for k in ("mean", "std"))
    return np.moveaxis((x - mean) / deviation, -1, 1).astype(np.float32)
