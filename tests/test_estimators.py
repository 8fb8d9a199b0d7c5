import numpy as np
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from porcupine.errors import InputError
from porcupine.estimators import VectorQuantizer, evenness
from porcupine.quantizers import fitted, registry
from porcupine.quantizers.base import Nearest, distortion
from porcupine.quantizers.training import Training

METHODS = ("kmeans", "curve", "tree", "balanced")
RNG = np.random.default_rng(0)
SKEWED = np.exp(RNG.standard_normal((900, 4))).astype(np.float32)  # cells of least distortion hold very unequal shares
TRAIN, TEST = SKEWED[:600], SKEWED[600:]


@parametrize_with_checks([VectorQuantizer(method, bits=2) for method in METHODS])
def test_it_is_an_estimator_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize("method", [*METHODS, "vq", "sfvq"])
def test_it_is_the_quantiser_of_the_registry(method):
    training = Training(epochs=2)
    expected = registry.fit(method, TRAIN, bits=[3], seed=5, training=training)[3][0]
    estimator = VectorQuantizer(method, bits=3, random_state=5, training=training).fit(TRAIN)
    codes = estimator.predict(TEST)
    assert np.array_equal(codes, expected.encode(TEST)) and codes.dtype == np.int32
    assert np.array_equal(estimator.transform(TEST), expected.codebook[codes])
    assert np.array_equal(estimator.inverse_transform(codes), estimator.transform(TEST))
    assert estimator.score(TEST) == -distortion(TEST, expected.codebook, codes)
    assert estimator.n_features_in_ == 4 and list(estimator.get_feature_names_out()) == ["x0", "x1", "x2", "x3"]


def test_the_type_of_the_numbers_does_not_matter():
    single, double = (VectorQuantizer(bits=3).fit(TRAIN.astype(dtype)) for dtype in (np.float32, np.float64))
    assert np.array_equal(single.predict(TEST), double.predict(TEST.astype(np.float64)))
    assert double.transform(TEST.astype(np.float64)).dtype == np.float32
    whole = np.rint(10 * TRAIN).astype(int)
    assert np.array_equal(single.fit(whole).predict(whole), double.fit(whole.astype(float)).predict(whole))


def test_random_states_give_one_quantiser_a_seed_and_others_without():
    def codebook(state):
        return VectorQuantizer("balanced", bits=3, random_state=state).fit(TRAIN).quantizer_.codebook

    assert np.array_equal(codebook(1), codebook(np.int64(1)))
    assert not np.array_equal(codebook(1), codebook(2))
    drawn = [codebook(np.random.RandomState(3)) for _ in range(2)]
    assert np.array_equal(*drawn)
    state = np.random.RandomState(3)
    assert not np.array_equal(codebook(state), codebook(state))


def test_at_the_end_of_a_pipeline_codes_lead_back_to_the_units_before():
    units = np.array([1, 10, 100, 1000], dtype=np.float32)
    pipeline = make_pipeline(StandardScaler(), VectorQuantizer(bits=4)).fit(units * TRAIN)
    codes, inside = pipeline.predict(units * TEST), pipeline[0].transform(units * TEST)
    decoded = pipeline[1].inverse_transform(codes)
    assert np.mean((decoded - inside) ** 2) < 0.6 * inside.var()
    assert np.allclose(pipeline.inverse_transform(codes), pipeline[0].mean_ + pipeline[0].scale_ * decoded, rtol=1e-5)


def test_inside_a_pipeline_later_steps_see_codewords_alone():
    labels = TRAIN[:, 0] > 1
    pipeline = make_pipeline(PCA(3), VectorQuantizer(bits=2), LogisticRegression()).fit(TRAIN, labels)
    assert len(np.unique(pipeline[:-1].transform(TEST), axis=0)) == 4
    assert len(np.unique(pipeline.predict_proba(TEST), axis=0)) <= 4
    assert pipeline.score(TEST, TEST[:, 0] > 1) > 0.6


def test_a_search_picks_the_least_distortion_or_the_most_even_codes():
    grid = {"method": ["kmeans", "balanced"], "bits": [2, 4]}
    least = GridSearchCV(VectorQuantizer(), grid, cv=3).fit(TRAIN)
    assert least.best_params_ == {"method": "kmeans", "bits": 4}
    even = GridSearchCV(VectorQuantizer(), grid, scoring=evenness, cv=3).fit(TRAIN)
    assert even.best_params_["method"] == "balanced"
    assert even.best_estimator_.predict(TEST).max() < 2 ** even.best_params_["bits"]


def test_a_search_reaches_into_a_pipeline():
    pipeline = make_pipeline(StandardScaler(), VectorQuantizer(bits=3))
    grid = {"vectorquantizer__method": ["kmeans", "curve"]}
    search = GridSearchCV(pipeline, grid, scoring=evenness, cv=3).fit(TRAIN)
    assert search.best_params_ == {"vectorquantizer__method": "curve"}


class Given:
    """Predicts what it is given, as if fitted on ``n`` samples."""

    def __init__(self, n, n_codewords):
        self.n_samples_fit_, self.quantizer_ = n, Nearest(np.zeros((n_codewords, 1), dtype=np.float32))

    def predict(self, codes):
        return codes


def test_evenness_by_hand():
    # Counts 10 and 30 of M=40: mean squared deviation from 20 is 100, of which M/K (1 - 1/K) = 10 are noise, so
    # K² 90 / (M (M-1)) = 3/13 is the cells' squared relative spread. The limit's is (2-1)/50.
    assert evenness(Given(50, 2), np.repeat([0, 1], [10, 30])) == pytest.approx(-50 * 3 / 13)
    # Flatter than chance would have it: 0 - 10 gives the other sign.
    assert evenness(Given(50, 2), np.repeat([0, 1], 20)) == pytest.approx(50 * 4 * 10 / (40 * 39))
    assert evenness(Given(50, 3), np.repeat([0, 1], [10, 30])) < evenness(Given(50, 2), np.repeat([0, 1], [10, 30]))


def test_evenness_is_right_on_average_over_few_samples():
    # Cells of probability (1 ± 0.1)/4 have a squared spread of 0.01, the limit one of 3/300.
    rng = np.random.default_rng(1)
    scores = [evenness(Given(300, 4), rng.choice(4, 50, p=[0.275, 0.275, 0.225, 0.225])) for _ in range(4000)]
    assert np.mean(scores) == pytest.approx(-1, abs=4 * np.std(scores) / 4000**0.5)


def test_a_fitted_one_becomes_a_file_with_its_params(tmp_path):
    estimator = VectorQuantizer("tree", bits=3).fit(TRAIN)
    record = fitted.provenance(TRAIN, **estimator.get_params())
    fitted.save_one(tmp_path / "tree.npz", estimator.quantizer_, record)
    assert np.array_equal(fitted.load_one(tmp_path / "tree.npz").encode(TEST), estimator.predict(TEST))
    params = fitted.load_provenance(tmp_path / "tree.npz")["params"]
    again = VectorQuantizer(**{"method": "tree", **params}).fit(TRAIN)
    assert np.array_equal(again.quantizer_.codebook, estimator.quantizer_.codebook)


def test_mistakes_are_named():
    for bits in (0, 2.5, "6", None):
        with pytest.raises(InputError, match=f"bits={bits!r}, must be a whole number from 1 on"):
            VectorQuantizer(bits=bits).fit(TRAIN)
    with pytest.raises(InputError, match="method='ballanced' is not known; did you mean 'balanced'"):
        VectorQuantizer("ballanced").fit(TRAIN)
    with pytest.raises(InputError, match="n_codewords=64, must be between 1 and N=40 samples"):
        VectorQuantizer().fit(TRAIN[:40])
    with pytest.raises(InputError, match="all 100 vectors are equal"):
        VectorQuantizer(bits=2).fit(np.ones((100, 3)))
    quantizer = VectorQuantizer(bits=2).fit(TRAIN)
    with pytest.raises(InputError, match=r"should be integers in 0 … K-1=3"):
        quantizer.inverse_transform([4])
    with pytest.raises(ValueError, match="X has 3 features, but VectorQuantizer is expecting 4 features"):
        quantizer.predict(TEST[:, :3])
    with pytest.raises(ValueError, match="not fitted yet"):
        clone(quantizer).predict(TEST)
