"""Sets of classes: deciles and head, torso, tail; and means over them.

A set is an array of integers over the classes, part[..., class], -1 for a class in none. Nothing here depends on how
classes are numbered unless `ties="index"` is asked for: classes with equal values are never separated.
"""

from __future__ import annotations

import numpy as np
from scipy import stats as _stats

from .metrics import _ratio

__all__ = [
    "CLASS_PARTS",
    "deciles",
    "deciles_by_accuracy",
    "deciles_by_frequency",
    "head_torso_tail",
    "is_balanced",
    "part_means",
    "part_sizes",
]

CLASS_PARTS = ("head", "torso", "tail")  # position = code
BALANCED = 1.5  # largest over smallest class: a split at random of balanced data is well below it, no long tail is


def is_balanced(counts) -> bool:
    """Are the classes about as frequent in training?"""
    counts = np.asarray(counts)
    return bool(counts.max() < BALANCED * counts.min())


def deciles(values, n=10, ties="together"):
    """n parts of about equal size of values[..., class] in ascending order: part 0 has the smallest values.

    A class of rank r (1 .. m) goes into part floor((r - 1/2) n / m). `ties`:
      "together"  equal values share their mean rank, so they stay in one part; parts may be of unequal size or empty
      "index"     of equal values the class with the smaller index comes first; sizes differ by at most 1
    NaN is in no part (-1) and does not count towards m. With m < n some parts are empty.
    """
    method = {"together": "average", "index": "ordinal"}.get(ties)
    if method is None:
        raise ValueError(f"ties = {ties!r}: together or index")
    if n < 1:
        raise ValueError(f"n = {n}: must be at least 1")
    values = np.asarray(values, dtype=np.float64)
    out = np.full(values.shape, -1, dtype=np.int64)
    for row, found in zip(values.reshape(-1, values.shape[-1]), out.reshape(-1, values.shape[-1])):
        defined = ~np.isnan(row)
        m = int(defined.sum())
        doubled = np.rint(2 * _stats.rankdata(row[defined], method=method)).astype(np.int64)  # integers: no rounding
        found[defined] = np.minimum((doubled - 1) * n // (2 * m), n - 1) if m else 0
    return out


def deciles_by_frequency(train_count, n=10, ties="together"):
    """deciles of the classes by their training examples: part 0 has the rarest classes."""
    return deciles(train_count, n, ties)


def deciles_by_accuracy(baseline_recall, n=10, ties="together"):
    """deciles of the classes by the recall of a baseline: part 0 has the classes it is worst at.

    Take the mean over seeds first, and take it from validation, or from seeds other than those that are compared: parts
    made from the very recalls that a gain is measured against show a gain in part 0 and a loss in the last one even if
    nothing has changed (regression to the mean).
    """
    return deciles(baseline_recall, n, ties)


def head_torso_tail(train_count, rule="thirds", ties="together", many=100, few=20):
    """0 head, 1 torso, 2 tail for each of train_count[..., class].

    rule  "thirds"  thirds of the classes by training examples, the most frequent ones are the head; by the ranks of
                    `deciles` with n = 3, so 10 distinct counts make 3, 4, 3. Equal counts stay together: where all are
                    equal every class is in the torso.
          "counts"  head: more than `many` training examples, torso: `few` to `many`, tail: fewer than `few`
    """
    if rule == "thirds":
        return deciles(-np.asarray(train_count, dtype=np.float64), 3, ties)
    if rule != "counts":
        raise ValueError(f"rule = {rule!r}: thirds or counts")
    if few > many:
        raise ValueError(f"few = {few} is more than many = {many}")
    count = np.asarray(train_count)
    return np.where(count > many, 0, np.where(count >= few, 1, 2))


def part_sizes(part, n):
    """Number of classes in each of n parts: [..., n]."""
    return (np.asarray(part)[..., None] == np.arange(n)).sum(axis=-2)


def part_means(values, part, n):
    """Mean of values[..., class] over the classes of each of n parts: [..., n]. NaN values are left out; NaN for a part
    without a value. Leading dimensions of `values` and `part` broadcast.
    """
    values = np.asarray(values, dtype=np.float64)[..., None]
    inside = (np.asarray(part)[..., None] == np.arange(n)) & ~np.isnan(values)
    return _ratio(np.where(inside, values, 0.0).sum(axis=-2), inside.sum(axis=-2))
