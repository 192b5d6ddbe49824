"""Metrics from counts.

`counts[..., class, predicted]` holds numbers of examples: row = true class, column = predicted class. Everything here
is a plain function of NumPy arrays, works on any number of leading dimensions, and is NaN wherever a denominator is
zero: a class without examples has no recall, a class that is never predicted has no precision. Nothing is replaced by
0 or 1.
"""

from __future__ import annotations

import numpy as np

__all__ = [
    "accuracy",
    "balanced_accuracy",
    "demographic_parity_difference",
    "equalized_odds_difference",
    "group_accuracy",
    "precision",
    "recall",
    "support",
    "worst_class",
    "worst_class_accuracy",
    "worst_group_accuracy",
    "worst_k_accuracy",
]


def _ratio(numerator, denominator):
    numerator = np.asarray(numerator, dtype=np.float64)
    denominator = np.asarray(denominator, dtype=np.float64)
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    out = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=out, where=denominator > 0)
    return out


def _nan_reduce(function, values, axis=-1):
    """nanmin, nanmean, ... without the warning: NaN where all values are NaN."""
    values = np.asarray(values, dtype=np.float64)
    if values.shape[axis] == 0:
        return np.full(np.delete(values.shape, axis), np.nan)
    empty = np.isnan(values).all(axis=axis)
    filled = np.where(np.expand_dims(empty, axis), 0.0, values)
    return np.where(empty, np.nan, function(filled, axis=axis))


def support(counts):
    """Examples of each true class."""
    return np.asarray(counts).sum(axis=-1)


def recall(counts):
    """Accuracy on the examples of each class: counts[y, y] / sum over predicted of counts[y, .]."""
    counts = np.asarray(counts)
    return _ratio(np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(axis=-1))


def precision(counts):
    """counts[y, y] / sum over true classes of counts[., y]."""
    counts = np.asarray(counts)
    return _ratio(np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(axis=-2))


def accuracy(counts):
    """Fraction of all examples that are right."""
    counts = np.asarray(counts)
    return _ratio(np.diagonal(counts, axis1=-2, axis2=-1).sum(axis=-1), counts.sum(axis=(-2, -1)))


def balanced_accuracy(counts):
    """Mean recall over the classes that have examples."""
    return _nan_reduce(np.nanmean, recall(counts))


def worst_class_accuracy(counts):
    """Smallest recall over the classes that have examples."""
    return _nan_reduce(np.nanmin, recall(counts))


def worst_class(counts):
    """Index of the class with the smallest recall (the first of several); -1 when no class has examples."""
    r = recall(counts)
    empty = np.isnan(r).all(axis=-1)
    return np.where(empty, -1, np.argmin(np.where(np.isnan(r), np.inf, r), axis=-1))


def worst_k_accuracy(counts, k):
    """Mean of the k smallest recalls. Less noisy, and less biased low, than the single worst class.

    Defined only when at least k classes have examples.
    """
    if k < 1:
        raise ValueError(f"k = {k}: must be at least 1")
    r = np.sort(recall(counts), axis=-1)  # NaN sorts last
    if k > r.shape[-1]:
        return np.full(r.shape[:-1], np.nan)
    return r[..., :k].mean(axis=-1)


# ---- groups ----------------------------------------------------------------------------------------------------------


def group_accuracy(group_counts):
    """Accuracy of each group, from group_counts[..., group, class, predicted]."""
    return accuracy(group_counts)


def worst_group_accuracy(group_counts):
    """Smallest accuracy over the groups that have examples."""
    return _nan_reduce(np.nanmin, group_accuracy(group_counts))


def _gap(rates):
    """Largest minus smallest rate over the groups (axis -2) where it is defined; NaN with fewer than two of them."""
    defined = (~np.isnan(rates)).sum(axis=-2)
    gap = _nan_reduce(np.nanmax, rates, axis=-2) - _nan_reduce(np.nanmin, rates, axis=-2)
    return np.where(defined >= 2, gap, np.nan)


def _one_against_rest(group_counts):
    """Per group and class: true-positive rate, false-positive rate, rate of being predicted."""
    c = np.asarray(group_counts, dtype=np.float64)
    true = c.sum(axis=-1)
    predicted = c.sum(axis=-2)
    both = np.diagonal(c, axis1=-2, axis2=-1)
    total = true.sum(axis=-1, keepdims=True)
    return _ratio(both, true), _ratio(predicted - both, total - true), _ratio(predicted, total)


def demographic_parity_difference(group_counts):
    """Per class max - min over groups of P(predicted = class | group), then the plain mean over classes. 0 is fair."""
    *_, rate = _one_against_rest(group_counts)
    return _nan_reduce(np.nanmean, _gap(rate))


def equalized_odds_difference(group_counts):
    """Per class the larger of the gaps in true- and false-positive rate over groups, then the mean over classes.

    This is the convention of Fairlearn (maximum of the two gaps), averaged one-against-rest over classes; a class whose
    gaps are both undefined is left out of the mean.
    """
    tpr, fpr, _ = _one_against_rest(group_counts)
    both = np.stack([_gap(tpr), _gap(fpr)], axis=-1)
    return _nan_reduce(np.nanmean, _nan_reduce(np.nanmax, both))
