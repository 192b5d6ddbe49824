"""Means, spreads, intervals, paired differences."""

import numpy as np
import pandas as pd
import pytest
from kdsweep_analysis.stats import (
    paired_difference,
    pareto_front,
    summarize,
    t_interval,
)
from scipy import stats


def test_known_interval():
    # t(0.975, 4) = 2.776445; mean 3, sd 1.581139, n 5
    low, high = t_interval([1, 2, 3, 4, 5])
    assert low == pytest.approx(3 - 2.776445 * 1.5811388 / np.sqrt(5), abs=1e-6)
    assert high == pytest.approx(3 + 2.776445 * 1.5811388 / np.sqrt(5), abs=1e-6)


def test_summary():
    s = summarize({3: 0.5, 1: 0.7, 2: np.nan})
    assert (s.n, s.seeds, s.values) == (2, (1, 3), (0.7, 0.5))
    assert s.mean == pytest.approx(0.6)
    assert s.sd == pytest.approx(np.sqrt(0.02))  # ddof = 1; ddof = 0 gives 0.1
    assert summarize(pd.Series([0.7, 0.5], index=[1, 3])) == s
    assert "±" in str(s) and "n = 2" in str(s)


def test_one_value_has_no_spread_and_says_so():
    s = summarize([0.5])
    assert s.n == 1 and s.mean == 0.5
    assert np.isnan([s.sd, s.low, s.high]).all()
    assert "no spread" in str(s)
    s = summarize([])
    assert s.n == 0 and np.isnan(s.mean) and str(s) == "no values"


def test_paired_difference_uses_common_seeds():
    a = {0: 0.9, 1: 0.8, 2: 0.7, 3: 0.1}
    b = {2: 0.5, 1: 0.65, 0: 0.8, 9: 0.9}
    d = paired_difference(a, b)
    assert d.seeds == (0, 1, 2) and d.only_a == (3,) and d.only_b == (9,)
    np.testing.assert_allclose(d.values, [0.1, 0.15, 0.2])
    reference = stats.ttest_rel([0.9, 0.8, 0.7], [0.8, 0.65, 0.5])
    assert d.p == pytest.approx(reference.pvalue)
    low, high = reference.confidence_interval(0.95)
    assert (d.low, d.high) == (pytest.approx(low), pytest.approx(high))


def test_pairing_matters():
    """With a large effect of the seed, the paired interval is much narrower than the spread of either side."""
    seeds = np.linspace(0, 1, 6)
    d = paired_difference(dict(enumerate(seeds + 0.05)), dict(enumerate(seeds + 0.01 * np.sin(np.arange(6)))))
    assert d.high - d.low < 0.05 < summarize(seeds).sd


def test_paired_difference_of_little():
    d = paired_difference({0: 0.5}, {0: 0.4})
    assert d.n == 1 and d.mean == pytest.approx(0.1) and np.isnan([d.sd, d.low, d.high, d.p]).all()
    assert paired_difference({0: 0.5}, {1: 0.4}).n == 0
    same = paired_difference({0: 0.5, 1: 0.6}, {0: 0.5, 1: 0.6})
    assert same.mean == 0 and same.p == 1.0
    with pytest.raises(ValueError, match="twice"):
        paired_difference(pd.Series([1.0, 2.0], index=[0, 0]), {0: 1.0})


@pytest.mark.parametrize("seed", range(20))
def test_pareto_front_is_what_nothing_beats(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 8, (2, 30)) / 8.0
    x[3] = np.nan
    front = pareto_front(x, y)
    beaten = [any(x[j] >= x[i] and y[j] >= y[i] and (x[j] > x[i] or y[j] > y[i]) for j in range(30)) for i in range(30)]
    unbeaten = {(x[i], y[i]) for i in range(30) if not beaten[i] and np.isfinite(x[i])}
    assert {(x[i], y[i]) for i in front} == unbeaten
    assert len(front) == len(unbeaten)
    assert (np.diff(x[front]) > 0).all() and (np.diff(y[front]) < 0).all()
