"""Decoders through scikit-learn's checks, those of trials through `Flattened`; test parts are refused."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

from neuropil.compare.ridge import Ridge
from neuropil.fit.classical import TangentSpace, csp_lda, evoked_lda, tangent_logistic
from neuropil.fit.decode import PlaceDecoder
from neuropil.fit.emissions import Gaussian
from neuropil.fit.filters import DiscriminativeKalmanDecoder, KalmanDecoder
from neuropil.fit.glm import GLM
from neuropil.fit.gpfa import GPFA, PoissonReadout
from neuropil.fit.hmm import HMM
from neuropil.fit.lds import LDS
from neuropil.fit.neural_decoder import Flattened, NeuralDecoder
from neuropil.fit.sequential import SequentialAutoencoder
from neuropil.fit.ssvep import FBCCA, TRCA
from neuropil.fit.switching import SwitchingLDS
from neuropil.recordings import Recording, preprocess

# what reads rows in the order of time cannot give the same for other orders
ORDER = dict.fromkeys(
    ("check_methods_subset_invariance", "check_methods_sample_order_invariance"),
    "a row is read together with the rows before it",
)
TINY = {"filters": 8, "taps": 3, "taps2": 2, "pools": (1, 1), "drop": 0.0, "momentum": 0.8}
ESTIMATORS = {
    "ridge": (Ridge(), {}),
    "place": (
        PlaceDecoder(),
        {
            "check_methods_sample_order_invariance": "single precision: a product of rows, 1e-7 apart"
        },
    ),
    "kalman": (KalmanDecoder(), ORDER),
    "discriminative-kalman": (DiscriminativeKalmanDecoder(), ORDER),
    "tangent-logistic": (Flattened(tangent_logistic()), {}),
    "evoked-lda": (Flattened(evoked_lda(1)), {}),
    "trca": (Flattened(TRCA(bands=1)), {}),
    "eegnet": (
        Flattened(NeuralDecoder("eegnet", options=TINY, epochs=40, batch=20, step=0.02)),
        {},
    ),
}
# FBCCA has a frequency for each label, which the checks' data have not: below, by hand. CSP needs more
# channels than the checks' single one. GLM returns a fitted model of its own; RidgeDecoder is Ridge with a
# validation set, BayesDecoder what PlaceDecoder is made of. HMM, LDS and GPFA decode nothing: they have no y.


@pytest.mark.slow
@pytest.mark.parametrize("name", ESTIMATORS)
def test_scikit_learn_checks(name):
    estimator, known = ESTIMATORS[name]
    check_estimator(estimator, expected_failed_checks=known)


def test_rows_and_trials_are_decoded_alike():
    rng = np.random.default_rng(0)
    hz, t = np.array([8.0, 11.0]), np.arange(100) / 250
    y = np.tile([0, 1], 6)
    x = rng.normal(size=(12, 2, 100)) + 3 * np.sin(2 * np.pi * hz[y][:, None, None] * t)
    for decoder in (FBCCA(hz), TRCA(), evoked_lda(4)):
        there = clone(decoder).fit(x, y).predict(x)
        rows = Flattened(decoder, channels=2).fit(x.reshape(12, -1), y)
        np.testing.assert_array_equal(rows.predict(x.reshape(12, -1)), there)
    assert not hasattr(Flattened(TRCA()), "predict_proba")


RNG = np.random.default_rng(1)
COUNTS = RNG.poisson(3.0, (8, 12, 3))
SETTINGS = {"hidden": 2, "encoder": 2, "factors": 1}
LEARNERS = {
    "lds": LDS(1, iterations=1),
    "switching": SwitchingLDS(1, 1, iterations=1),
    "hmm": HMM(2, iterations=1),
    "gaussian-hmm": HMM(2, Gaussian(), iterations=1),
    "gpfa": GPFA(1, iterations=1),
    "sequential": SequentialAutoencoder(options=SETTINGS, updates=1, batch=2),
    "tangent": TangentSpace(),
    "csp": csp_lda(2),
    "evoked": evoked_lda(4),
    "trca": TRCA(bands=1),
    "fbcca": FBCCA((8.0, 12.0), bands=1),
    "network": NeuralDecoder("shallow", options={"filters": 2, "taps": 3, "width": 5}, epochs=1),
    "kalman": KalmanDecoder(),
    "discriminative-kalman": DiscriminativeKalmanDecoder(),
    "place": PlaceDecoder(),
    "readout": PoissonReadout(),
    "glm": GLM(lags=1),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_a_test_part_is_refused_before_any_work(name):
    parts = preprocess.split(Recording.from_array(COUNTS, rate=250.0, unit="spikes"), test=0.25)
    model = LEARNERS[name]
    model = model if name == "glm" else clone(model)
    with pytest.raises(ValueError, match="This is a leak"):
        model.fit(*([parts.test] if name == "glm" else [parts.test, np.array([0, 1])]))


@pytest.mark.slow
def test_what_was_learned_on_the_training_part_is_applied_to_its_own_test_part_alone():
    rec = Recording.from_array(COUNTS, rate=250.0, unit="spikes")
    parts, other = preprocess.split(rec, test=0.25), preprocess.split(rec, test=0.25, seed=1)
    models = [
        HMM(2, iterations=2, random_state=0), TangentSpace(), PoissonReadout(),
    ]  # fmt: skip
    for model in models:
        values = parts.train.to_numpy()
        model.fit(parts.train, *([parts.train] if isinstance(model, PoissonReadout) else []))
        assert model.learned_ == str(parts.train.split)
        judge = model.predict if hasattr(model, "predict") else model.transform
        with pytest.raises(ValueError, match="This is a leak"):
            judge(other.test)
        judge(parts.test)
        if isinstance(model, PoissonReadout):  # it standardises by the training part
            np.testing.assert_allclose(model.centre_, values.mean((0, 1)), rtol=1e-6)
            np.testing.assert_allclose(model.scale_, values.std((0, 1)), rtol=1e-6)
    hmm = models[0]
    assert hmm.predict(parts.test).shape == (24,)
    assert np.isfinite(hmm.score(parts.test))
    kalman = KalmanDecoder()
    one = Recording.from_array(COUNTS.reshape(1, -1, 3), rate=250.0, unit="spikes")
    kalman.fit(one, RNG.normal(size=96))
    np.testing.assert_allclose(kalman.center_, COUNTS.reshape(-1, 3).mean(0))
    with pytest.raises(ValueError, match="8 trials"):
        kalman.fit(rec, RNG.normal(size=96))
