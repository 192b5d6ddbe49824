"""Study "lukasik": planted truths come out as claims, tables and figures; what is missing is skipped with a reason."""

import h5py
import numpy as np
import pytest
from kdsweep_analysis import figures
from kdsweep_analysis.studies import common, lukasik
from planted import plant
from scipy import stats

pytestmark = pytest.mark.usefixtures("coarse")

M = 10
RARITY = np.linspace(0, 1, M)  # the last class is the rarest with an imbalance ratio
EASY = np.array([0.95, 0.80, 0.90, 0.85, 0.93, 0.82, 0.88, 0.94, 0.83, 0.91])
GRID = {
    "data.source": '"cifar10"',
    "data.imbalance.profile": '"exponential"',
    "teacher.model": '"resnet56"',
    "student.model": '"resnet56"',
}


def noise(row):
    return 0.005 * np.random.default_rng([row["seed"], 5]).standard_normal(M)


def rare(row):
    return RARITY if row["imbalance_ratio"] > 1 else np.zeros(M)


def teacher_recall(row):
    return EASY - 0.3 * rare(row) + noise(row)


def world(sign):
    """Recalls with the paper's trends (sign 1) or their opposites (-1)."""

    def recall(row):
        base = teacher_recall(row) - 0.05
        if row["role"] == "teacher":
            return teacher_recall(row)
        if row["role"] == "baseline":
            return base
        hard = (EASY.mean() - EASY) / 0.15  # about -0.5 .. 0.6
        gain = 0.04 - 0.08 * hard - 0.3 * (rare(row) - 0.5 * (row["imbalance_ratio"] > 1))
        if row["student_objective"] != "standard":
            gain = gain * 0 + 0.035 + 0.08 * np.maximum(hard, 0) + 0.05 * rare(row)
            if sign < 0:  # no better than nothing, and worse than distillation on the hard and rare classes
                gain = -gain - 0.03
        return base + (gain if row["student_objective"] != "standard" else sign * gain)

    return recall


def margin(row, part):
    r = teacher_recall(row)
    return 1 - 0.02 * (1 - r) if part == "train" else r


OPTIONS = dict(
    margin=margin,
    copied=lambda row: 0.3 if row["role"] == "student" else 0.0,
    grid=GRID,
    ratios=(1.0, 100.0),
    teachers=("standard",),
    students=("standard", "ada_alpha", "ada_margin"),
    temperatures=(1.0, 4.0),
    n_per_class=400,
)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """planted(name, sign or recalls, **options) -> path; the same name is written once."""
    folder, made = tmp_path_factory.mktemp("lukasik"), {}

    def get(name, truth=1, **options):
        if name not in made:
            made[name] = folder / f"{name}.h5"
            plant(made[name], truth if callable(truth) else world(truth), **{**OPTIONS, **options})
        return made[name]

    return get


def findings(path):
    _, results = common.build([path], lukasik)
    assert len(results) == 1
    return results[0]


@pytest.fixture(scope="module")
def true(planted):
    return findings(planted("true", copied=lambda row: 0.0, seeds=(0, 1, 2, 3, 4)))


def claims(path):
    """Of all scenarios, without the tables and figures."""
    (sweep,) = common.open_sweeps(path)
    return [c for s in sweep.scenarios for c in lukasik.claims(lukasik.View(sweep, s))]


def verdicts(claims, where=""):
    return {c.key: c.verdict for c in claims if where in c.where}


TREND = ("1.1 average", "1.1 hardest", "1.1 amplified", "1.3 margin")
ADA = tuple(f"1.1 {m}: {w}" for m in ("AdaAlpha", "AdaMargin") for w in ("average", "rare"))


def test_planted_trends_agree(true):
    v = verdicts(true[1].claims, "ratio 100")
    assert {k: v[k] for k in (*TREND, *ADA, "1.1 rare")} == dict.fromkeys((*TREND, *ADA, "1.1 rare"), common.AGREES)
    balanced = [c for c in true[1].claims if c.where.endswith("ratio 1")]
    assert {c.key: c.verdict for c in balanced}["1.1 rare"] == common.NOT_IN_SWEEP
    assert {c.key: c.verdict for c in balanced}["1.1 AdaMargin: hardest"] == common.AGREES


def test_opposite_disagrees(planted):
    v = verdicts(claims(planted("opposite", -1, copied=lambda row: 0.0, seeds=(0, 1, 2, 3, 4), ratios=(100.0,))))
    opposite = [k for k in TREND if k != "1.1 amplified"]
    assert {k: v[k] for k in opposite} == dict.fromkeys(opposite, common.DISAGREES)
    assert v["1.1 rare"] == common.DISAGREES
    assert v["1.1 AdaMargin: rare"] == common.DISAGREES
    assert v["1.1 AdaAlpha: average"] == common.NOT_IN_SWEEP  # there is no gain to keep


@pytest.mark.parametrize(
    ("one_hot", "distilled", "expected"),
    [(-0.02, -0.07, common.AGREES), (-0.02, 0.05, common.DISAGREES), (-0.12, -0.07, common.DISAGREES)],
)
def test_mistakes_are_amplified_beyond_teacher_and_one_hot_student(planted, one_hot, distilled, expected):
    """A student that errs more than its teacher, but less than it would by itself, amplifies nothing."""

    def recall(row):
        hard = EASY < np.sort(EASY)[M // 2]
        return teacher_recall(row) + {"teacher": 0, "baseline": one_hot}.get(row["role"], np.where(hard, distilled, 0.02))

    path = planted(f"amplified{one_hot}{distilled}", recall, copied=lambda row: 0.0, seeds=(0, 1, 2, 3), ratios=(1.0,))
    assert verdicts(claims(path))["1.1 amplified"] == expected


@pytest.mark.parametrize(("kept", "expected"), [(0.045, common.AGREES), (0.002, common.DISAGREES)])
def test_a_gain_that_is_mostly_lost_is_not_kept(planted, kept, expected):
    """Distillation gains 3 points on the one-hot student; a method that is above it by 0.2 has not kept them."""

    def recall(row):
        gain = 0.0 if row["role"] == "baseline" else 0.03 if row.get("student_objective") == "standard" else kept
        return teacher_recall(row) - 0.05 + (0.05 if row["role"] == "teacher" else gain)

    path = planted(f"kept{kept}", recall, copied=lambda row: 0.0, seeds=(0, 1, 2, 3, 4), ratios=(1.0,))
    assert verdicts(claims(path))["1.1 AdaMargin: average"] == expected


def test_nearly_balanced_is_balanced(planted):
    """Validation that is drawn at random from training leaves classes a little unequal."""
    path = planted("nearly", copied=lambda row: 0.0, seeds=(0, 1, 2), ratios=(1.02,))
    found = {c.key: c for c in claims(path)}
    assert found["1.1 rare"].verdict == common.NOT_IN_SWEEP and "1.1 AdaAlpha: hardest" in found


@pytest.mark.parametrize("n", [1, 2])
def test_few_seeds_never_a_verdict(planted, n):
    found = claims(planted(f"few{n}", copied=lambda row: 0.0, seeds=tuple(range(n)), ratios=(100.0,)))
    assert {c.verdict for c in found} == {common.NOT_ENOUGH}
    assert all(c.n == n for c in found)
    assert all(np.isnan(c.low) == (n == 1) for c in found)


def test_copied_errors_are_counted(planted):
    """The student repeats 30 % of the teacher's errors on top of what chance gives; by hand from the file."""
    path = planted("copied", seeds=(0, 1, 2), ratios=(1.0,), students=("standard",), temperatures=(1.0,))
    found = claims(path)
    with h5py.File(path) as f:
        role, label = f["role"][...], f["label"][...]
        teacher, base = f["teacher_trial"][...], f["baseline_trial"][...]
        p = f["prediction"][:, 0].astype(int)
    effects = []
    for i in np.flatnonzero(role == 1):
        wrong = p[teacher[i]] != label
        same = [(p[j][wrong] == p[teacher[i]][wrong]).sum() for j in (i, base[i])]
        effects.append((int(same[0]) - int(same[1])) / wrong.sum())
    claim = next(c for c in found if c.key == "1.1 inherited")
    assert claim.effect == pytest.approx(np.mean(effects), abs=1e-12)
    assert claim.verdict == common.AGREES and 0.2 < claim.effect < 0.4
    none = planted("independent", copied=lambda r: 0.0, seeds=(0, 1, 2), ratios=(1.0,), students=("standard",))
    assert verdicts(claims(none))["1.1 inherited"] == common.NOT_ENOUGH


def test_spearman_is_scipys(true):
    sweep, _ = true
    view = next(v for v in (lukasik.View(sweep, s) for s in sweep.scenarios) if not v.balanced)
    s = lukasik.correlation(view, "class_margin", "validation")
    expected = []
    for rows in view.trials(lukasik.PLAIN).values():
        t = sweep.ds["teacher_trial"].values[rows]
        g = sweep.read("class_margin", t).mean(axis=0)[1]
        at = sweep.ds["class_accuracy"].sel(selection="last", split="test").values
        b = sweep.ds["baseline_trial"].values[rows]
        expected.append(stats.spearmanr(g, at[rows].mean(axis=0) - at[b].mean(axis=0)).statistic)
    assert s.mean == pytest.approx(np.mean(expected), abs=1e-9)
    assert np.isnan(lukasik.spearman([1, 1, 1], [1, 2, 3])) and np.isnan(lukasik.spearman([1, 2], [1, 2]))


def test_choice_is_by_average_on_validation_of_other_seeds(planted):
    """T = 4 is better on average and worse on the worst class: it is chosen."""

    def recall(row):
        r = np.full(M, 0.8) + noise(row)
        if row["role"] == "student" and row["temperature"] == 4.0:
            r = r + 0.06
            r[0] -= 0.2
        return r

    path = planted("choice", recall, seeds=(0, 1, 2), students=("standard",), ratios=(1.0,))
    sweep = common.open_sweeps([path])[0]
    view = lukasik.View(sweep, sweep.scenarios[0])
    assert {c.tuned["temperature"] for c, _ in view.chosen[lukasik.PLAIN].values()} == {4.0}


def test_tables(true):
    _, found = true
    tables = {t.name: t for t in found.tables if isinstance(t, common.Table)}
    assert set(tables) == {"methods", "gain_by_frequency", "gain_by_accuracy", "teacher_and_gain", "classes"}
    methods = tables["methods"]
    assert methods.shown["method"].tolist() == 2 * list(lukasik.METHODS)
    paper = methods.shown["Wang et al.: worst (average)"].tolist()
    assert paper[1] == "87.7 ± 0.4 (94.3 ± 0.1)" and paper[0] == "" and paper[7] == "47.5 ± 0.9 (72.7 ± 0.2)"
    numbers = methods.numbers.set_index(["imbalance_ratio", "method"])
    row = numbers.loc[("100", "distillation")]
    assert row["difference_average"] == pytest.approx(
        row["average_mean"] - numbers.loc[("100", "one-hot student"), "average_mean"]
    )
    assert row["difference_average_low95"] < row["difference_average"] < row["difference_average_high95"]
    assert np.isnan(numbers.loc[("1", "distillation"), "tail_mean"])
    # rarest first, every class once; by accuracy the hardest first
    frequency = tables["gain_by_frequency"].shown
    assert frequency["training examples"].astype(int).is_monotonic_increasing and len(frequency) == M
    accuracy = tables["gain_by_accuracy"].shown
    assert len(accuracy) == 2 * M
    gain = tables["gain_by_frequency"].numbers
    plain = gain[gain.method == "distillation"]
    assert plain["gain"].iloc[:3].mean() < plain["gain"].iloc[-3:].mean()


def test_hundred_classes_in_tenths(planted, tmp_path):
    path = tmp_path / "hundred.h5"

    def recall(row):
        easy = np.linspace(0.9, 0.6, 100)
        return (
            easy
            + (0.02 if row["role"] == "student" else 0)
            + 0.01 * np.random.default_rng([row["seed"]]).standard_normal(100)
        )

    options = {**OPTIONS, "margin": None, "grid": None, "ratios": (100.0,), "seeds": (0, 1, 2), "n_per_class": 20}
    options["schema_version"] = 1
    plant(path, recall, n_classes=100, **options)
    sweep, found = findings(path)
    view = lukasik.View(sweep, sweep.scenarios[0])
    names, of = lukasik.bins(view, "accuracy")
    assert names == [str(i) for i in range(1, 11)] and sorted(np.concatenate(of)) == list(range(100))
    assert (
        view.count[lukasik.bins(view, "frequency")[1][0]].max()
        <= view.count[lukasik.bins(view, "frequency")[1][-1]].min()
    )
    drawn = [f.name for f in found.figures if isinstance(f, figures.Drawn)]
    assert drawn == ["gain_by_class", "accuracy_by_class"]
    reasons = [f.reason for f in found.figures if isinstance(f, figures.Skipped)]
    assert reasons == ["the file has no margins of the teacher (class_margin; results schema 2)"]


def test_missing_pieces_say_why(planted):
    _, found = findings(planted("no_baseline", baseline=False, seeds=(0, 1, 2), ratios=(100.0,), margin=None))
    assert all(isinstance(t, common.Skipped) and t.reason for t in found.tables if getattr(t, "name", "") != "methods")
    absent = [c for c in found.claims if c.verdict == common.NOT_IN_SWEEP]
    assert {c.key for c in absent} >= {"1.1 average", "1.1 rare", "1.1 inherited", "1.3 margin"}
    assert all("without a teacher" in c.found for c in absent if c.key == "1.1 average")
    no_predictions = claims(planted("no_predictions", drop=("prediction",), seeds=(0, 1, 2), ratios=(100.0,)))
    assert next(c for c in no_predictions if c.key == "1.1 inherited").found.startswith("No predictions")
    v = verdicts(claims(planted("plain", students=("standard",), seeds=(0, 1, 2), ratios=(100.0,))))
    assert v["1.1 AdaAlpha: average"] == common.NOT_IN_SWEEP and v["1.1 rare"] == common.AGREES


def test_nothing_finished(planted):
    _, found = findings(planted("empty", done=0.0, seeds=(0, 1)))
    assert found.claims == [] and found.tables[0].reason == "no trial is finished yet"


def test_page_is_written(planted, tmp_path):
    path = planted("page", seeds=(0, 1, 2), ratios=(100.0,))
    index, results = common.write_study([path], "lukasik", tmp_path)
    text = index.read_text(encoding="utf-8")
    for claim in results[0][1].claims:
        assert f'data-key="{claim.key}"' in text
    for name in ("gain_by_class", "margin_and_gain", "accuracy_by_class"):
        for ending in ("svg", "pdf", "png"):
            assert (tmp_path / "figures" / f"{name}.{ending}").stat().st_size > 1000
    for drawn in results[0][1].figures:
        assert drawn.figure.get_size_inches()[0] in (common.COLUMN, common.PAGE)
        assert "n = 3 seeds" in drawn.caption
