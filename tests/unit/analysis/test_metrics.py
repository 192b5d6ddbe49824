"""Metrics from counts, against scikit-learn and against loops that follow the definitions."""

import numpy as np
import pytest
from kdsweep_analysis import metrics
from sklearn import metrics as sk


@pytest.fixture(params=range(5))
def labels(request):
    rng = np.random.default_rng(request.param)
    m = (2, 3, 5, 10, 37)[request.param]
    y = np.concatenate([np.arange(m), rng.integers(0, m, 400)])
    p = np.where(rng.random(y.size) < 0.6, y, rng.integers(0, m, y.size))
    p[:m] = np.arange(m)  # every class is predicted at least once
    return m, y, p, sk.confusion_matrix(y, p, labels=np.arange(m))


def test_against_sklearn(labels):
    m, y, p, counts = labels
    which = np.arange(m)
    recall = sk.recall_score(y, p, labels=which, average=None)
    np.testing.assert_allclose(metrics.recall(counts), recall, rtol=1e-12)
    np.testing.assert_allclose(
        metrics.precision(counts), sk.precision_score(y, p, labels=which, average=None), rtol=1e-12
    )
    assert metrics.accuracy(counts) == pytest.approx(sk.accuracy_score(y, p), rel=1e-12)
    assert metrics.balanced_accuracy(counts) == pytest.approx(sk.balanced_accuracy_score(y, p), rel=1e-12)
    assert metrics.worst_class_accuracy(counts) == recall.min()
    assert metrics.worst_class(counts) == recall.argmin()
    for k in {1, 2, m}:
        assert metrics.worst_k_accuracy(counts, k) == pytest.approx(np.sort(recall)[:k].mean(), rel=1e-12)
    np.testing.assert_array_equal(metrics.support(counts), np.bincount(y, minlength=m))


def test_rows_are_true_classes():
    counts = np.array([[8, 2], [0, 10]])
    np.testing.assert_allclose(metrics.recall(counts), [0.8, 1.0])
    np.testing.assert_allclose(metrics.precision(counts), [1.0, 10 / 12])


def test_undefined_is_nan_and_left_out():
    counts = np.array([[3, 1, 0], [0, 0, 0], [2, 2, 0]])  # class 1 has no examples, class 2 is never predicted
    np.testing.assert_array_equal(np.isnan(metrics.recall(counts)), [False, True, False])
    np.testing.assert_array_equal(np.isnan(metrics.precision(counts)), [False, False, True])
    assert metrics.balanced_accuracy(counts) == pytest.approx((0.75 + 0.0) / 2)
    assert metrics.worst_class_accuracy(counts) == 0.0
    assert metrics.worst_class(counts) == 2
    assert metrics.worst_k_accuracy(counts, 2) == pytest.approx(0.375)
    assert np.isnan(metrics.worst_k_accuracy(counts, 3))  # only two classes have examples
    assert np.isnan(metrics.worst_k_accuracy(counts, 4))
    with pytest.raises(ValueError, match="k = 0"):
        metrics.worst_k_accuracy(counts, 0)


def test_nothing_at_all_is_nan():
    counts = np.zeros((2, 4, 4), int)
    for f in (metrics.accuracy, metrics.balanced_accuracy, metrics.worst_class_accuracy):
        assert np.isnan(f(counts)).all() and f(counts).shape == (2,)
    np.testing.assert_array_equal(metrics.worst_class(counts), [-1, -1])


def test_leading_dimensions_are_kept():
    counts = np.random.default_rng(0).integers(0, 9, (2, 3, 4, 5, 5))
    for f in (metrics.accuracy, metrics.worst_class_accuracy, metrics.worst_class, metrics.balanced_accuracy):
        assert f(counts).shape == (2, 3, 4)
        assert f(counts)[1, 2, 3] == f(counts[1, 2, 3])
    assert metrics.recall(counts).shape == (2, 3, 4, 5)


def gap(values):
    values = [v for v in values if v is not None]
    return max(values) - min(values) if len(values) > 1 else None


def ratio(a, b):
    return a / b if b else None


@pytest.mark.parametrize("seed", range(6))
def test_group_metrics_follow_their_definition(seed):
    rng = np.random.default_rng(seed)
    g, m = 2 + seed % 3, 2 + seed % 4
    counts = rng.integers(0, 7, (g, m, m))
    if seed == 3:
        counts[0] = 0  # a group without examples
    if seed == 4:
        counts[:, 1, :] = 0  # a class without examples
    eod, dpd = [], []
    for c in range(m):
        tpr, fpr, rate = [], [], []
        for a in range(g):
            t = counts[a]
            tpr.append(ratio(t[c, c], t[c].sum()))
            others = [i for i in range(m) if i != c]
            fpr.append(ratio(sum(t[i, c] for i in others), sum(t[i].sum() for i in others)))
            rate.append(ratio(t[:, c].sum(), t.sum()))
        gaps = [x for x in (gap(tpr), gap(fpr)) if x is not None]
        if gaps:
            eod.append(max(gaps))
        if gap(rate) is not None:
            dpd.append(gap(rate))
    expected = np.mean(eod) if eod else np.nan
    np.testing.assert_allclose(metrics.equalized_odds_difference(counts), expected, rtol=1e-12)
    np.testing.assert_allclose(
        metrics.demographic_parity_difference(counts), np.mean(dpd) if dpd else np.nan, rtol=1e-12
    )
    accuracies = [ratio(np.trace(counts[a]), counts[a].sum()) for a in range(g)]
    assert metrics.worst_group_accuracy(counts) == pytest.approx(min(x for x in accuracies if x is not None))


def test_fair_groups_have_no_gap():
    one = np.array([[5, 1], [2, 8]])
    both = np.stack([one, 3 * one])
    assert metrics.equalized_odds_difference(both) == pytest.approx(0, abs=1e-15)
    assert metrics.demographic_parity_difference(both) == pytest.approx(0, abs=1e-15)
    unfair = np.stack([one, one[::-1]])
    assert metrics.equalized_odds_difference(unfair) > 0.1


def test_stored_columns_agree_with_counts(full):
    """The file's own columns, from the counts in it, for every finished row, selection and split."""
    from kdsweep_analysis import load

    ds = load(full[0])
    done = ds["status"].values == 1
    counts = ds["counts"].values[done]
    pairs = [("accuracy", metrics.accuracy), ("balanced_accuracy", metrics.balanced_accuracy)]
    pairs += [("worst_class_accuracy", metrics.worst_class_accuracy), ("class_accuracy", metrics.recall)]
    for name, f in pairs:
        np.testing.assert_allclose(f(counts), ds[name].values[done], atol=1e-6)
    np.testing.assert_array_equal(metrics.worst_class(counts), ds["worst_class"].values[done])
