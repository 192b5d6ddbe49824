"""Study "mohammadshahi": planted truths come out as claims, tables and figures; what is missing is skipped with a
reason.
"""

import h5py
import numpy as np
import pytest
from kdsweep_analysis import figures, metrics, significance
from kdsweep_analysis.studies import common, reference
from kdsweep_analysis.studies import mohammadshahi as study
from planted import plant
from scipy import stats

pytestmark = pytest.mark.usefixtures("coarse")

COLOURS = ("red", "green", "blue", "yellow", "pink")
T_ALL = (1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 20.0, 40.0)
EXTRA = {"student_model": ("resnet20",), "teacher_model": ("resnet56",)}


def amount(row):
    """What distillation does: most at T = 10."""
    t = row["temperature"]
    return t / 10 if t <= 10 else max(0.0, 1 - (t - 10) / 30)


def world(sign, m=40, fair=(0.05, 0.25, 0.20)):
    """(recall, tilt, individual) with the paper's trends (sign 1) or their opposites (-1)."""
    pattern = 0.06 * np.random.default_rng(1).choice([-1, 1], m)
    teacher_tilt, nds_tilt, ds_tilt = fair

    def much(row):
        return amount(row) if sign > 0 else 1 - amount(row)

    def recall(row):
        noise = 0.004 * np.random.default_rng([row["seed"], 5]).standard_normal(m)
        if row["role"] == "teacher":
            return 0.86 + pattern + noise
        if row["role"] == "baseline":
            return np.full(m, 0.84) + noise
        return 0.85 + pattern * much(row) + noise

    def tilt(row):
        if row["role"] == "student":
            return ds_tilt * (1 - 0.9 * much(row))
        return {"teacher": teacher_tilt, "baseline": nds_tilt}[row["role"]]

    def individual(row):
        if row["role"] == "student":
            return 0.04 * (1 - 0.5 * much(row)) + (0.1 if sign < 0 else 0) + 1e-4 * row["seed"]
        return {"teacher": 0.016, "baseline": 0.05}[row["role"]] + 1e-4 * row["seed"]

    return recall, tilt, individual


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    folder, made = tmp_path_factory.mktemp("mohammadshahi"), {}

    def get(name, truth=1, m=40, fair=(0.05, 0.25, 0.20), **options):
        """truth: a sign of world(), or recalls"""
        if name not in made:
            made[name] = folder / f"{name}.h5"
            recall, tilt, individual = world(1 if callable(truth) else truth, m, fair)
            recall = truth if callable(truth) else recall
            base = dict(tilt=tilt, individual=individual, n_classes=m, n_per_class=100, groups=COLOURS, extra=EXTRA)
            base |= dict(ratios=(1.0,), teachers=("standard",), students=("standard",), temperatures=T_ALL)
            plant(made[name], recall, **{**base, **options})
        return made[name]

    return get


def findings(path):
    _, results = common.build([path] if not isinstance(path, list) else path, study)
    assert len(results) == 1
    return results[0]


@pytest.fixture(scope="module")
def true(planted):
    return findings(planted("true"))


def series_of(path):
    (sweep,) = common.open_sweeps(path)
    return study.find_series(sweep)[0]


def claims(path):
    """Of all series, without the tables and figures."""
    return [c for s in series_of(path) for c in study.claims(s)]


def verdicts(claims):
    return {c.key: c.verdict for c in claims}


KEYS = (
    *("3.9 #SC rises", "3.9 #SC falls again", "3.9 #TC falls"),
    *(
        f"3.9 {w}: {t}"
        for w in ("EOD", "DPD", "individual fairness")
        for t in ("T up to 10", "T of 20 to 40", "DS and NDS")
    ),
    "3.9 DPD: DS and teacher",
)


def test_planted_trends_agree(planted):
    found = verdicts(claims(planted("clear", seeds=tuple(range(8)))))
    assert {k: found[k] for k in KEYS} == dict.fromkeys(KEYS, common.AGREES)


def test_opposite_disagrees(planted):
    path = planted("opposite", -1, fair=(0.01, 0.05, 0.35), n_per_class=250)
    assert verdicts(claims(path)) == dict.fromkeys((*KEYS, "3.9 EOD: DS and teacher"), common.DISAGREES)


@pytest.mark.parametrize("n", [1, 2])
def test_few_seeds_never_a_verdict(planted, n):
    found = claims(planted(f"few{n}", seeds=tuple(range(n))))
    assert set(verdicts(found).values()) == {common.NOT_ENOUGH}
    assert all(c.n == n for c in found)


def test_no_trend_no_verdict(planted):
    """Nothing depends on T: no claim about T is decided."""

    def recall(row):
        return np.full(40, 0.85) + 0.004 * np.random.default_rng([row["seed"], 5]).standard_normal(40)

    rng = np.random.default_rng(3)
    individual = lambda row: 0.04 + 0.001 * rng.standard_normal()  # noqa: E731
    v = verdicts(claims(planted("flat", recall, tilt=lambda row: 0.05, individual=individual)))
    decided = [k for k in KEYS if ("T " in k or "#" in k) and v[k] != common.NOT_ENOUGH]
    assert len(decided) <= 1  # nine intervals of 95 %


def test_counts_are_welchs(true, planted):
    """#SC and #TC of the table from the file by SciPy alone."""
    table = next(t for t in true[1].tables if t.name == "class_bias").numbers.set_index("temperature")
    with h5py.File(planted("true")) as f:
        role, t = f["role"][...], f["temperature"][...]
        r, acc = (f[n][:, 0, 1].astype(np.float64) for n in ("class_accuracy", "accuracy"))
    for temperature in T_ALL:
        ds = (role == 1) & (t == temperature)
        for word, other in (("SC", role == 2), ("TC", role == 0)):
            for normalise, f in (("ratio", np.divide), ("difference", np.subtract)):
                a, b = (f(r[k], acc[k][:, None]) for k in (other, ds))
                p = stats.ttest_ind(a, b, equal_var=False).pvalue
                assert table.loc[temperature, f"{word}_{normalise}_none"] == (p < 0.05).sum()
            assert table.loc[temperature, f"{word}_ratio_bonferroni"] <= table.loc[temperature, f"{word}_ratio_holm"]
            assert table.loc[temperature, f"{word}_ratio_holm"] <= table.loc[temperature, f"{word}_ratio_fdr_bh"]


def test_bootstrap_is_the_plain_one(true):
    """Distinct resamples are computed once; each value is what class_bias gives for that resample."""
    sweep, _ = true
    s = study.find_series(sweep)[0][0]
    rows = []
    found, observed = study.resampled_bias(
        s, "SC", [10.0], lambda v: (rows.append(np.array(v)), v[..., 0])[1], n_resamples=50
    )
    r0, a0, seeds = s.class_values(s.nds)
    r1, a1, _ = s.class_values(s.students[10.0])
    assert observed[0] == significance.class_bias(r0, a0, r1, a1).n_significant == found.mean
    drawn = np.random.default_rng(0).integers(0, len(seeds), (50, len(seeds)))
    values = [significance.class_bias(r0[i], a0[i], r1[i], a1[i]).n_significant for i in drawn if len(set(i)) > 1]
    n = len(seeds)
    assert found.sd == pytest.approx(np.std(values, ddof=1) * np.sqrt(n))
    half = stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) * np.sqrt(n / (n - 1))
    assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half))


def test_fairness_is_from_the_counts(true, planted):
    table = next(t for t in true[1].tables if t.name == "group_fairness").numbers.set_index(["model", "temperature"])
    with h5py.File(planted("true")) as f:
        role, t, counts = f["role"][...], f["temperature"][...], f["group_counts"][:, 0, 1]
    for model, temperature, rows in (
        ("teacher", "", role == 0),
        ("NDS", "", role == 2),
        ("DS", 10.0, (role == 1) & (t == 10.0)),
    ):
        eod = metrics.equalized_odds_difference(counts[rows])
        dpd = metrics.demographic_parity_difference(counts[rows])
        row = table.loc[(model, temperature)]
        assert row["EOD_mean"] == pytest.approx(eod.mean()) and row["EOD_sd"] == pytest.approx(eod.std(ddof=1))
        assert row["DPD_mean"] == pytest.approx(dpd.mean()) and row["n"] == 5


def test_slope_per_seed(true):
    claim = next(c for c in true[1].claims if c.key == "3.9 DPD: T up to 10")
    s = study.find_series(true[0])[0][0]
    low = [t for t in T_ALL if t <= 10]
    curve = s.curve("DPD")
    slopes = [100 * np.polyfit(low, [curve[t][k] for t in low], 1)[0] for k in range(5)]
    assert claim.effect == pytest.approx(np.mean(slopes))
    assert (claim.low, claim.high) == pytest.approx(stats.t.interval(0.95, 4, np.mean(slopes), stats.sem(slopes)))


def test_disagreements_by_hand(true, planted):
    found = study.disagreements(study.find_series(true[0])[0][0], 10.0)
    with h5py.File(planted("true")) as f:
        role, t = f["role"][...], f["temperature"][...]
        p = f["prediction"][:, 0].astype(int)
        rows = np.flatnonzero((role == 1) & (t == 10.0))
        teacher, base = f["teacher_trial"][...][rows], f["baseline_trial"][...][rows]
    expected = np.zeros((40, 40), int)
    np.add.at(expected, (p[teacher].ravel(), p[rows].ravel()), 1)
    np.fill_diagonal(expected, 0)
    assert (found["DS"] == expected).all() and found["n"] == 5
    assert found["NDS"].sum() == (p[teacher] != p[base]).sum()


def test_best_teacher_claim_does_not_look_at_test(planted):
    """T is chosen on validation of the other seeds."""
    path = planted("beats", fair=(0.10, 0.25, 0.20), seeds=(0, 1, 2))
    claim = next(c for c in claims(path) if c.key == "3.9 DPD: DS and teacher")
    with h5py.File(path, "r+") as f:  # the best on test is now another temperature, for all seeds
        rows = np.flatnonzero((f["role"][...] == 1) & (f["temperature"][...] == 1.0))
        counts = f["group_counts"][...]
        counts[rows, :, 1] = counts[rows[:1], :, 1][:, :, :1]  # all groups alike
        f["group_counts"][...] = counts
    (s,) = series_of(path)
    assert min(s.temperatures) == 1.0 and max(s.fairness(s.students[1.0], "DPD").values()) < 1e-9
    after = next(c for c in study.claims(s) if c.key == claim.key)
    assert (after.effect, after.found) == (claim.effect, claim.found)


def tables_of(path):
    series = series_of(path)
    found = (study.class_bias_table(series), study.fairness_table(series), study.individual_table(series))
    return {t.name: t.shown for t in found}


@pytest.mark.parametrize(
    "source, networks, key",
    [("cifar100", ("resnet56", "resnet20"), "CLASS_BIAS"), ("trifeature", ("resnet20", "lenet5"), "FAIRNESS")],
)
def test_paper_beside_ours_only_for_the_same_data_and_pair(planted, source, networks, key):
    grid = {"data.source": f'"{source}"', "teacher.model": f'"{networks[0]}"', "student.model": f'"{networks[1]}"'}
    options = dict(m=10, seeds=(0, 1), temperatures=(2.0, 10.0), n_per_class=40)
    extra = {"student_model": (networks[1],), "teacher_model": (networks[0],)}
    tables = tables_of(planted(f"same_{source}", grid=grid, extra=extra, **options))
    paper = getattr(reference, key)[source, " -> ".join(networks)]
    if source == "cifar100":
        shown = tables["class_bias"].set_index(["model", "T"])
        assert (
            shown.loc[("DS", "10"), "paper: #SC"] == "22"
            and shown.loc[("NDS", ""), "paper: accuracy"] == "68.39 ± 0.17"
        )
    else:
        shown = tables["group_fairness"].set_index(["model", "T"])
        assert shown.loc[("DS", "10"), "paper: DPD"] == paper[10.0]["DPD"].text() == "3.10 ± 0.02"
        shown = tables["individual_fairness"].set_index(["model", "T"])
        assert shown.loc[("teacher", ""), "paper: individual fairness"] == "0.0160"
    other = {"student_model": ("mlp:16",), "teacher_model": (networks[0],)}
    grid = {**grid, "student.model": '"mlp:16"'}
    different = tables_of(planted(f"other_{source}", grid=grid, extra=other, **options))
    assert not any("paper" in c for shown in different.values() for c in shown.columns)
    grid = {"data.source": '"idx"', "teacher.model": f'"{networks[0]}"', "student.model": f'"{networks[1]}"'}
    different = tables_of(planted(f"data_{source}", grid=grid, extra=extra, **options))
    assert not any("paper" in c for shown in different.values() for c in shown.columns)


def test_reference_numbers():
    r = reference.CLASS_BIAS["cifar100", "resnet56 -> resnet20"]
    assert set(r) == {"teacher", "NDS", *map(float, range(2, 11)), 20.0, 30.0, 40.0}
    assert [int(r[float(t)]["SC"].value) for t in range(2, 11)] == [5, 7, 8, 9, 9, 10, 13, 18, 22]
    assert [int(r[float(t)]["TC"].value) for t in range(2, 11)] == [15, 12, 9, 8, 8, 6, 6, 9, 11]
    assert r[20.0]["SC"].approximate and r[20.0]["SC"].text(0) == "about 19"
    f = reference.FAIRNESS["trifeature", "resnet20 -> lenet5"]
    assert [f[float(t)]["EOD"].value for t in (1, 5, 10)] == [1.67, 1.25, 1.01]
    assert f["teacher"]["accuracy"].text() == "100.00 ± 0.00" and f[10.0]["individual"].value == 0.0338


def test_bias_strength(planted):
    extra = {**EXTRA, "correlation_strength": (0.0, 0.4, 0.8)}
    path = planted("strength", m=10, extra=extra, temperatures=(1.0, 10.0), seeds=(0, 1, 2), n_per_class=50)
    series = series_of(path)
    assert len(series) == 3
    (drawn,) = study.strength_figures(series[0].sweep, series)
    assert isinstance(drawn, figures.Drawn) and drawn.name == "bias_strength" and "n = 3 seeds" in drawn.caption
    assert {c.where for c in claims(path)} == {f"correlation strength {v:g}" for v in (0, 0.4, 0.8)}


def test_missing_pieces_say_why(planted):
    options = dict(m=10, temperatures=(1.0, 4.0), seeds=(0, 1, 2), n_per_class=40)
    no_groups = findings(planted("no_groups", groups=(), individual=None, schema_version=1, **options))[1]
    tables = {t.name if isinstance(t, common.Table) else t.section: t for t in no_groups.tables}
    assert "no groups" in tables["Accuracy, equalised odds and demographic parity by temperature"].reason
    assert "measure.individual" in tables["Individual fairness by temperature"].reason
    v = verdicts(no_groups.claims)
    assert v["3.9 EOD: T up to 10"] == v["3.9 individual fairness: DS and NDS"] == common.NOT_IN_SWEEP
    assert v["3.9 #SC falls again"] == common.NOT_IN_SWEEP  # no temperature of 20 or more
    assert v["3.9 #SC rises"] != common.NOT_IN_SWEEP
    reasons = [f.reason for f in no_groups.figures if isinstance(f, figures.Skipped)]
    assert len(reasons) == 2 and all(reasons)
    no_baseline = findings(planted("no_baseline", baseline=False, **options))[1]
    v = verdicts(no_baseline.claims)
    assert v["3.9 #SC rises"] == v["3.9 DPD: DS and NDS"] == common.NOT_IN_SWEEP
    assert v["3.9 #TC falls"] != common.NOT_IN_SWEEP
    no_predictions = findings(planted("no_predictions", drop=("prediction",), **options))[1]
    assert any("predictions" in f.reason for f in no_predictions.figures if isinstance(f, figures.Skipped))
    other = findings(planted("robust", students=("robust",), **options))[1]
    assert other.claims == [] and "no finished standard student" in other.tables[0].reason
    empty = findings(planted("empty", done=0.0, **options))[1]
    assert empty.claims == [] and empty.figures[0].reason == "no trial is finished yet"


def test_one_teacher_for_all_seeds(planted):
    """Welch's test has nothing to compare with; the teacher's DPD is that of the one teacher."""
    path = planted("one_teacher", m=10, temperatures=(1.0, 4.0), seeds=(0, 1, 2), n_per_class=40)
    with h5py.File(path, "r+") as f:
        role, row = f["role"][...], f["teacher_trial"][...]
        row[role == 1] = np.flatnonzero(role == 0)[0]
        f["teacher_trial"][...] = row
        f["status"][np.flatnonzero(role == 0)[1:]] = 0  # there are no others
    _, found = findings(path)
    claims = {c.key: c for c in found.claims}
    assert claims["3.9 #TC falls"].verdict == common.NOT_IN_SWEEP and "one teacher" in claims["3.9 #TC falls"].found
    assert claims["3.9 #SC rises"].n == 3 and claims["3.9 DPD: DS and teacher"].n == 3
    shown = next(t for t in found.tables if t.name == "class_bias").shown
    assert shown["n"].tolist() == [1, 3, 3, 3] and shown["#TC"].tolist() == ["", "", "–", "–"]


def test_one_value_of_everything_else_along_a_series(planted):
    """Two learning rates: the one with the better average accuracy on validation at all temperatures."""

    def recall(row):
        good = row.get("student_lr", 0.1) == 0.1
        return np.full(10, 0.85 if good else 0.75) + (0.02 if row.get("temperature") == 4.0 and not good else 0)

    options = {"n_per_class": 50, "temperatures": (1.0, 4.0), "seeds": (0, 1), "extra": {"student_lr": (0.1, 0.5)}}
    (s,) = series_of(planted("lr", recall, m=10, **options))
    assert {c.tuned["student_lr"] for c in s.students.values()} == {0.1} and s.settings == {"student_lr": 0.1}
    assert s.nds.tuned["student_lr"] == 0.1 and list(s.students) == [1.0, 4.0]


def test_page_is_written(planted, tmp_path):
    path = planted("few2", seeds=(0, 1))
    index, results = common.write_study([path], "mohammadshahi", tmp_path)
    text = index.read_text(encoding="utf-8")
    for claim in results[0][1].claims:
        assert f'data-key="{claim.key}"' in text
    for name in ("class_bias", "fairness", "disagreement"):
        for ending in ("svg", "pdf", "png"):
            assert (tmp_path / "figures" / f"{name}.{ending}").stat().st_size > 1000
    for drawn in results[0][1].figures:
        if isinstance(drawn, figures.Drawn):
            assert drawn.figure.get_size_inches()[0] in (common.COLUMN, common.PAGE)
            assert "2 seeds" in drawn.caption or "2 and 2 seeds" in drawn.caption
