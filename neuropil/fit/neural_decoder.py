"""Networks of EEG as scikit-learn classifiers: fit, predict, score, clone, in a Pipeline and a GridSearchCV."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import lru_cache

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jaxtyping import Array, Float
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.preprocessing import LabelEncoder
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    check_array,
    check_consistent_length,
    check_is_fitted,
    validate_data,
)

from neuropil.blocks.averages import moved_or_learned, silent
from neuropil.blocks.filtering import clip_norm
from neuropil.fit.deepssvep import DeepSSVEP
from neuropil.fit.door import admit
from neuropil.fit.eegnets import NETWORKS
from neuropil.fit.eegparts import EEGNetwork
from neuropil.learn import Trainer, train

_CHUNK = 256  # trials predicted at once


def within_limits() -> optax.GradientTransformation:
    """Last link of an optimiser of an `EEGNetwork`: weights of `limits()` keep their largest norm."""

    def update(updates, state, params=None):
        for where, largest, axis in params.limits().values():
            old = where(params)
            moved = clip_norm(old + where(updates), largest, axis)
            updates = eqx.tree_at(where, updates, moved - old)
        return updates, state

    return optax.GradientTransformation(lambda params: (), update)


@lru_cache(maxsize=64)
def network_optimiser(rate: float, penalty: float = 0.0) -> optax.GradientTransformation:
    """Adam on the gradient and penalty x weights (not biases), plain steps for moving averages, and the norms.

    One object for one rate, so that what was compiled for it serves again.
    """
    adam = optax.adam(rate)
    if penalty:
        weights = lambda tree: jax.tree.map(lambda a: a.ndim > 1, tree)
        adam = optax.chain(optax.add_decayed_weights(penalty, weights), adam)
    parts = {"learn": adam, "average": optax.sgd(1.0)}
    return optax.chain(optax.multi_transform(parts, moved_or_learned), within_limits())


def network_loss(net: EEGNetwork, batch: dict[str, Array], key: Array):
    """Weighted cross-entropy and accuracy. A batch with "training" is met with dropout and the batch's own
    norms, and moves the averages; another one (validation) with moving averages."""
    training = "training" in batch
    logits, pull = net.forward(batch["x"], key if training else None)
    each = optax.softmax_cross_entropy_with_integer_labels(logits, batch["y"])
    loss = jnp.mean(each * batch["weight"]) + silent(pull)
    return loss, {"accuracy": jnp.mean(jnp.argmax(logits, 1) == batch["y"])}


@eqx.filter_jit
def _begin(build, shape, key):
    return build(*shape, key=key)


@lru_cache(maxsize=64)
def _builder(network, rate, options) -> Callable:
    known = NETWORKS | {"deep-ssvep": DeepSSVEP.init}
    if isinstance(network, str) and network not in known:
        raise ValueError(f"there is no network {network!r}; write one of {', '.join(known)}")
    make = known[network] if isinstance(network, str) else network
    return eqx.Partial(make, rate=rate, **dict(options))


@eqx.filter_jit
def _logits(net, x):
    return net(x)


class NeuralDecoder(ClassifierMixin, BaseEstimator):
    """A convolutional network on trials (trial, channel, time) in microvolts.

    - `network`: "shallow", "deep", "eegnet", "fusion", "mi-eegnet", "deep-ssvep", or a function
      (channels, times, classes, rate=, key=, **options) -> `EEGNetwork`; `options` go to it;
    - `rate`: sampling rate in Hz (some networks take their filters' lengths from it);
    - `epochs`, `batch`, `step` (Adam's learning rate), `penalty` (L2: penalty / 2 of all squared weights);
    - `validation`: share of the trials, or None, held out to stop by: the weights of the best validation
      loss are kept, and training ends after `patience` epochs without a better one;
    - `balanced`: classes weigh the same however rare; `seed`: of weights, shuffling and dropout.

    Values go into the network as they are (the originals do no normalisation). After `fit`: `network_`,
    `classes_`, `history_` ({name: a value an epoch}).

    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(60, 3, 64))
    >>> y = np.repeat(["left", "right"], 30)
    >>> x[y == "left", 0] *= 4
    >>> small = {"filters": 4, "taps": 5, "width": 20, "stride": 10}
    >>> model = NeuralDecoder("shallow", options=small, epochs=20, batch=20, step=0.02).fit(x, y)
    >>> model.score(x, y) > 0.9
    True

    Raises ValueError for data that are not (trial, channel, time), fewer trials than needed, or a window
    that is too short for the network. Warns where values look like volts.
    """

    def __init__(
        self,
        network="eegnet",
        *,
        options=None,
        rate=128.0,
        epochs=100,
        batch=32,
        step=1e-3,
        penalty=0.0,
        validation=None,
        patience=15,
        balanced=False,
        seed=0,
    ):
        self.network = network
        self.options = options
        self.rate = rate
        self.epochs = epochs
        self.batch = batch
        self.step = step
        self.penalty = penalty
        self.validation = validation
        self.patience = patience
        self.balanced = balanced
        self.seed = seed

    def fit(self, X, y, *, start: EEGNetwork | None = None) -> NeuralDecoder:
        """Train from new weights, or from those of `start` (fine-tuning: all layers go on learning)."""
        X = self._trials(admit(self, X, "channels", fit=True))
        check_consistent_length(X, y)
        check_classification_targets(y)
        encoder = LabelEncoder().fit(y)
        labels, self.classes_ = encoder.transform(y).astype(np.int32), encoder.classes_
        if len(self.classes_) < 2:
            raise ValueError(
                f"y holds {len(self.classes_)} class: a decoder needs at least 2 among the labels"
            )
        scale = float(np.std(X))
        if 0 < scale < 1e-3:
            warnings.warn(
                f"the data's deviation is {scale:.2g}: volts? Networks of EEG want microvolts (x 1e6)",
                RuntimeWarning,
                stacklevel=2,
            )
        key = jr.key(self.seed)
        options = tuple(sorted((self.options or {}).items()))
        build = _builder(self.network, float(self.rate), options)
        shape = (X.shape[1], X.shape[2], len(self.classes_))
        net = _begin(build, shape, jr.fold_in(key, 0)) if start is None else start
        rows, held = self._parts(labels)
        counts = np.bincount(labels[rows], minlength=len(self.classes_))
        each = (
            len(rows) / (np.maximum(counts, 1) * len(counts))
            if self.balanced
            else np.ones(len(counts))
        )
        pick = lambda at: {
            "x": X[at],
            "y": labels[at],
            "weight": each[labels[at]].astype(np.float32),
        }
        data = pick(rows) | {"training": np.ones(len(rows), np.float32)}
        trainer = Trainer(
            net,
            network_loss,
            network_optimiser(float(self.step), float(self.penalty)),
            patience=self.patience if held is not None else None,
        )
        fit = train(
            trainer,
            data,
            epochs=self.epochs,
            batch=min(self.batch, len(rows)),
            key=jr.fold_in(key, 1),
            valid=None if held is None else pick(held),
            progress=False,
        )
        self.network_, self.history_ = fit.model, fit.epochs
        self.shape_ = X.shape[1:]
        return self

    def _parts(self, labels):
        """(rows to learn from, rows to stop by or None), the same share of every class."""
        if self.validation is None:
            return np.arange(len(labels)), None
        if not 0 < self.validation < 1:
            raise ValueError(
                f"validation = {self.validation}; it is a share between 0 and 1, or None"
            )
        rng, held = np.random.default_rng(self.seed), []
        for k in range(labels.max() + 1):
            mine = rng.permutation(np.flatnonzero(labels == k))
            held.append(mine[: max(1, round(self.validation * len(mine)))])
        held = np.sort(np.concatenate(held))
        rows = np.setdiff1d(np.arange(len(labels)), held)
        if not len(rows):
            raise ValueError(f"validation = {self.validation} leaves no trial to learn from")
        return rows, held

    @staticmethod
    def _trials(X) -> np.ndarray:
        X = check_array(X, allow_nd=True, ensure_2d=False, dtype=np.float32)
        if X.ndim != 3:
            raise ValueError(
                f"X has shape {X.shape}; give (trial, channel, time), or wrap the decoder in "
                "Flattened(decoder, channels=...) for rows of features"
            )
        return X

    def decision_function(self, X) -> np.ndarray:
        """Logits (trial, class); of two classes their difference (trial,), as scikit-learn has it."""
        logits = self._said(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def _said(self, X):
        check_is_fitted(self)
        X = self._trials(admit(self, X, "channels"))
        if X.shape[1:] != self.shape_:
            raise ValueError(
                f"trials are {X.shape[1:]}, but the decoder was fitted on {self.shape_}"
            )
        size = min(_CHUNK, 1 << (len(X) - 1).bit_length())  # few shapes, hence few compilations
        short = -len(X) % size
        X = np.concatenate([X, np.zeros((short, *self.shape_), X.dtype)])
        parts = [
            np.asarray(_logits(self.network_, X[i : i + size])) for i in range(0, len(X), size)
        ]
        return np.concatenate(parts)[: len(X) - short]

    def predict_proba(self, X) -> Float[np.ndarray, "trial class"]:
        """Probabilities (trial, class)."""
        return np.asarray(jax.nn.softmax(self._said(X), axis=1))

    def predict(self, X) -> np.ndarray:
        """The likeliest label of each trial."""
        return self.classes_[np.argmax(self._said(X), axis=1)]


def _poor(decoder) -> bool:
    """Whether it, or a step of it, says that it learns little from data that are no signals."""
    steps = [step for _, step in getattr(decoder, "steps", [("", decoder)])]
    return any(getattr(step, "needs_time", False) for step in steps)


class Flattened(ClassifierMixin, BaseEstimator):
    """A decoder of (trial, channel, time) for rows of features: each row is `channels` x time, row by row.

    It is fitted as a clone: `decoder_`. ValueError where the features cannot be shared by the channels.

    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(20, 2 * 40)), np.repeat([0, 1], 10)
    >>> small = NeuralDecoder("shallow", options={"filters": 2, "taps": 3, "width": 7}, epochs=1)
    >>> Flattened(small, channels=2).fit(x, y).predict(x).shape
    (20,)
    """

    def __init__(self, decoder=None, channels=1):
        self.decoder = decoder
        self.channels = channels

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        if self.decoder is not None:
            tags.classifier_tags.poor_score = _poor(self.decoder)
        return tags

    def fit(self, X, y) -> Flattened:
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32])
        check_classification_targets(y)
        if len(np.unique(y)) < 2:
            raise ValueError("y holds 1 class: a decoder needs at least 2 among the labels")
        decoder = NeuralDecoder() if self.decoder is None else self.decoder
        self.decoder_ = clone(decoder).fit(self._shaped(X), y)
        self.classes_ = self.decoder_.classes_
        return self

    def _shaped(self, X):
        if X.shape[1] % self.channels:
            raise ValueError(f"{X.shape[1]} features cannot be shared by {self.channels} channels")
        return X.reshape(len(X), self.channels, -1)

    def _given(self, X):
        check_is_fitted(self)
        return self._shaped(validate_data(self, X, reset=False, dtype=[np.float64, np.float32]))

    def predict(self, X) -> np.ndarray:
        """The likeliest label of each row."""
        X = self._given(X)
        return self.decoder_.predict(X)

    @available_if(lambda self: self.decoder is None or hasattr(self.decoder, "predict_proba"))
    def predict_proba(self, X) -> Float[np.ndarray, "row class"]:
        """Probabilities (row, class)."""
        X = self._given(X)
        return self.decoder_.predict_proba(X)
