"""The study of Wang et al.: claims whose truth is planted, tables and figures against the file's own numbers."""

import math
import re

import h5py
import numpy as np
import pandas as pd
import pytest
from kdsweep_analysis import cli
from kdsweep_analysis.studies import common, reference, wang
from scipy import stats
from study_results import spread, write_study

pytestmark = pytest.mark.usefixtures("coarse")

# worst class by (teacher, student); average is the same everywhere unless said otherwise
TRUE = {
    ("standard", "robust"): 0.68,
    ("balanced", "robust"): 0.70,
    ("robust", "robust"): 0.60,
    ("robust", "standard"): 0.66,
    ("robust", "balanced"): 0.65,
    ("standard", "standard"): 0.40,
    ("standard", "balanced"): 0.52,
    ("balanced", "standard"): 0.50,
    ("balanced", "balanced"): 0.55,
}
FALSE = TRUE | {
    ("robust", "robust"): 0.75,
    ("standard", "robust"): 0.60,
    ("balanced", "robust"): 0.62,
}
ALONE = {"standard": 0.38, "balanced": 0.50, "robust": 0.62}
GRID = {
    "data.source": '"cifar10"',
    "data.imbalance.profile": '"exponential"',
    "data.imbalance.ratio": "100",
    "teacher.model": '"resnet56"',
    "student.model": '"resnet56"',
    "teacher.seed": "-1",
    "student.validation_labels": '["one_hot", "teacher"]',
    "student.temperature": "[1, 3]",
}


class Rows:
    def __init__(self, seeds, m=10, noise=0.004, ratio=None, average=0.85):
        self.rows, self.seeds, self.m, self.noise, self.ratio, self.average = [], seeds, m, noise, ratio, average
        self.index = {}

    def add(self, role, seed, worst, average=None, key=None, **more):
        shared = np.random.default_rng([5, seed]).normal(0, 0.02)
        own = np.random.default_rng([len(self.rows), seed]).normal(0, self.noise, 2)
        worst = min(max(worst + shared, 0.0), 1.0) if worst > 0 else 0.0
        average = (self.average if average is None else average) + shared / 10
        split = {
            s: spread(max(0.0, worst + (o if worst else 0)), average, self.m)
            for s, o in zip(("validation", "test"), own)
        }
        row = {"role": role, "seed": seed, **split, **more}
        if self.ratio is not None:
            row["imbalance_ratio"] = self.ratio
            row["train_count"] = np.round(500 * self.ratio ** (-np.arange(self.m) / (self.m - 1)))
        if key is not None:
            self.index[(*key, seed)] = len(self.rows)
        self.rows.append(row)
        return len(self.rows) - 1

    def objectives(self, table, t_val=0.0, alone=ALONE, ada=True, **more):
        m = self.m
        for seed in self.seeds:
            for t, worst in alone.items():
                epochs = np.linspace(0, 1, 6)[:, None]
                k = np.arange(m)
                dro = (
                    {"multiplier": (1 + epochs * k) / (1 + epochs * k).sum(axis=1, keepdims=True)}
                    if t == "robust"
                    else {}
                )
                self.add(
                    "teacher",
                    seed,
                    worst,
                    key=("teacher", t),
                    teacher_objective=t,
                    calibration=0.3 - 0.2 * worst + np.linspace(0, 0.02, m),
                    class_accuracy_by_epoch=0.3 + 0.5 * epochs - 0.02 * k,
                    decisions={"post_shift": (0.58, 0.75), "logit_adjusted": (0.5, 0.76), "drops": (0.56, 0.74)},
                    **dro,
                    **more,
                )
            self.add("baseline", seed, 0.39, student_objective="standard", **more)
        for seed in self.seeds:
            for (t, s), worst in table.items():
                for temperature in (1.0, 3.0):
                    for labels in ("one_hot", "teacher") if s == "robust" else (None,):
                        extra = {"validation_labels": labels} if labels else {}
                        if labels == "teacher":
                            extra["validation_temperature"] = 1.0
                        if s == "robust":
                            epochs = np.linspace(0, 1, 6)[:, None]
                            k = np.arange(m)
                            extra["class_accuracy_by_epoch"] = 0.3 + 0.4 * epochs - 0.01 * k
                            extra["multiplier"] = (1 + epochs * k) / (1 + epochs * k).sum(axis=1, keepdims=True)
                        self.add(
                            "student",
                            seed,
                            worst - 0.03 * (temperature == 1.0) + (t_val if labels == "teacher" else 0),
                            teacher=self.index["teacher", t, seed],
                            teacher_objective=t,
                            student_objective=s,
                            temperature=temperature,
                            **extra,
                            **more,
                        )
            if ada:
                for t in alone:
                    for s in ("ada_alpha", "ada_margin"):
                        of = {"teacher_objective": t, "student_objective": s, "temperature": 3.0}
                        self.add("student", seed, 0.45, teacher=self.index["teacher", t, seed], **of, **more)
        return self

    def tradeoffs(self, surface, values=(0.0, 0.25, 0.5, 0.75, 1.0)):
        for seed in self.seeds:
            for a_t in values:
                of = {"teacher_objective": "tradeoff", "teacher_tradeoff": a_t}
                self.add("teacher", seed, 0.5 + 0.1 * a_t, key=("teacher", a_t), **of)
        for seed in self.seeds:
            for a_t in values:
                for a_s in values:
                    worst, average = surface(a_t, a_s)
                    of = {"teacher_objective": "tradeoff", "teacher_tradeoff": a_t, "student_objective": "tradeoff"}
                    self.add(
                        "student",
                        seed,
                        worst,
                        average,
                        teacher=self.index["teacher", a_t, seed],
                        student_tradeoff=a_s,
                        temperature=1.0,
                        validation_labels="one_hot",
                        **of,
                    )
        return self

    def group_dro(self):
        for seed in self.seeds:
            for learns, worst in (("validation", 0.5), ("train", 0.42)):
                self.add("baseline", seed, worst, student_objective="group_dro", student_dro_learns=learns)
        return self

    def write(self, path, **more):
        write_study(path, self.rows, classes=self.m, **({"grid": GRID} | more))
        return path


SEEDS = (0, 1, 2, 3, 4)


def view_of(path):
    (sweep,) = common.open_sweeps(path)
    (scenario,) = sweep.scenarios
    return wang.View(sweep, scenario)


def verdicts(path):
    return {c.key: c for c in wang.claims.judge_all(view_of(path))}


@pytest.mark.parametrize(
    ("table", "t_val", "expected"),
    [
        (TRUE, 0.0, {"i": "agrees", "ii": "agrees", "iv": "agrees"}),
        (FALSE, -0.06, {"i": "disagrees", "ii": "disagrees", "iv": "disagrees"}),
        # the two first are not one claim twice: a mix wins, though from the robust teacher
        (FALSE | {("robust", "standard"): 0.80}, 0.01, {"i": "agrees", "ii": "disagrees", "iv": "agrees"}),
    ],
)
def test_claims_of_the_objective_grid(tmp_path, table, t_val, expected):
    found = verdicts(Rows(SEEDS).objectives(table, t_val).write(tmp_path / "a.h5"))
    assert {k: found[f"2.9 ({k})"].verdict for k in expected} == expected
    for k in ("iii) a", "iii) b", "iii) c", "iii) d", "v) a", "v) b"):
        assert found[f"2.9 ({k}"].verdict == "not in this sweep"


def test_effect_is_the_planted_one(tmp_path):
    found = verdicts(Rows(SEEDS, noise=0.001).objectives(TRUE).write(tmp_path / "a.h5"))
    c = found["2.9 (i)"]
    assert c.effect == pytest.approx(0.70 - 0.60, abs=0.003)
    assert c.low < c.effect < c.high and c.n == 5 and c.more_seeds is None
    assert "balanced teacher and robust student" in c.found
    assert found["2.9 (ii)"].effect == pytest.approx(0.70 - 0.60, abs=0.003)
    assert found["2.9 (iv)"].effect == pytest.approx(0.0, abs=0.003) and found["2.9 (iv)"].bound == -0.01


def test_the_best_teacher_is_found_by_its_own_worst_class(tmp_path):
    alone = {"standard": 0.65, "balanced": 0.50, "robust": 0.45}
    found = verdicts(Rows(SEEDS, noise=0.001).objectives(TRUE, alone=alone).write(tmp_path / "a.h5"))
    assert found["2.9 (ii)"].effect == pytest.approx(0.70 - 0.68, abs=0.003)
    assert found["2.9 (ii)"].found.startswith("The standard teacher has the best worst class")


def test_one_seed_is_not_enough(tmp_path):
    for table in (TRUE, FALSE):
        path = Rows((0,)).objectives(table).tradeoffs(good).write(tmp_path / "a.h5")
        found = verdicts(path)
        for key, c in found.items():
            if key.startswith("2.9 (v)"):
                continue
            assert c.verdict == "not enough seeds", key
            assert c.n == 1 and math.isnan(c.low) and c.more_seeds is None and "at least 2 more" in c.more_text


def test_noise_is_not_enough_and_says_how_many_more(tmp_path):
    flat = dict.fromkeys(TRUE, 0.6)
    found = verdicts(Rows((0, 1, 2, 3), noise=0.05).objectives(flat).write(tmp_path / "a.h5"))
    undecided = [c for c in found.values() if c.verdict == "not enough seeds"]
    assert len(undecided) >= 2
    assert all(c.more_seeds >= 1 and "more" in c.more_text for c in undecided)


def good(a_t, a_s):
    """a_s trades average for the worst class, a_t hurts at both ends; best balance at (0.25, 0.25)."""
    bonus = 0.03 * (a_t <= 0.5 and a_s <= 0.5) + 0.02 * (a_t == a_s == 0.25)
    return 0.5 + 0.15 * a_s + bonus - 0.1 * (a_t == 1), 0.85 - 0.06 * a_s - 0.01 * (a_t in (0, 1))


def bad(a_t, a_s):
    """The other way round: a_t does it all, a_t = 1 is best, and so are large values of both."""
    return 0.5 + 0.15 * a_t + 0.02 * a_s, 0.75 + 0.05 * a_t + 0.01 * (a_s > 0.5)


@pytest.mark.parametrize(("surface", "expected"), [(good, "agrees"), (bad, "disagrees")])
def test_claims_of_the_tradeoffs(tmp_path, surface, expected):
    found = verdicts(Rows(SEEDS, noise=0.001).tradeoffs(surface).write(tmp_path / "a.h5"))
    assert {k: found[f"2.9 (iii) {k}"].verdict for k in "abcd"} == dict.fromkeys("abcd", expected)
    assert found["2.9 (i)"].verdict == "not in this sweep"


def test_kendall_is_scipys(tmp_path):
    path = Rows(SEEDS, noise=0.02).tradeoffs(good).write(tmp_path / "a.h5")
    view = view_of(path)
    with h5py.File(path) as f:
        role, seed = f["role"][...], f["seed"][...]
        a_t, a_s, average = f["teacher_tradeoff"][...], f["student_tradeoff"][...], f["accuracy"][:, 0, 1]
    for s, grid in view.seed_grids().items():
        rows = (role == 1) & (seed == s)
        taus = [
            stats.kendalltau(a_s[rows & (a_t == a)], average[rows & (a_t == a)]).statistic for a in np.unique(a_t[rows])
        ]
        assert wang.claims._slope(grid, 1) == pytest.approx(np.mean(taus))


def test_zero_worst_class_with_a_hundred_classes(tmp_path):
    grid = GRID | {"data.source": '"cifar100"'}
    zero = TRUE | {("standard", "standard"): 0.0}
    rows = Rows(SEEDS, m=100, ratio=100.0).objectives(zero, ada=False)
    found = verdicts(rows.write(tmp_path / "a.h5", grid=grid))
    assert found["2.9 (v) a"].verdict == found["2.9 (v) b"].verdict == "agrees"
    other = TRUE | {("standard", "standard"): 0.72}
    found = verdicts(Rows(SEEDS, m=100, ratio=100.0).objectives(other, ada=False).write(tmp_path / "b.h5", grid=grid))
    assert found["2.9 (v) a"].verdict == found["2.9 (v) b"].verdict == "disagrees"


# ---- tables ----------------------------------------------------------------------------------------------------------


def findings(paths):
    _, results = common.build(paths, "wang")
    assert len(results) == 1
    return results[0]


def table(found, name):
    return next(t for t in found.tables if isinstance(t, common.Table) and t.name == name)


@pytest.fixture(scope="module")
def joined(tmp_path_factory):
    """Three files as the sweeps of a study make them: objectives, trade-offs, Group DRO."""
    folder = tmp_path_factory.mktemp("joined")
    fixed = GRID | {"student.validation_labels": '"one_hot"', "student.temperature": "1"}
    dro = fixed | {"student.group_dro.learn_on": '["validation", "train"]'}
    paths = [
        Rows(SEEDS).objectives(TRUE).write(folder / "objectives.h5"),
        Rows(SEEDS).tradeoffs(good).write(folder / "tradeoffs.h5", grid=fixed),
        Rows(SEEDS).group_dro().write(folder / "dro.h5", grid=dro),
    ]
    return paths, findings(paths)


def test_objective_table_holds_the_files_means_at_the_chosen_temperature(joined):
    paths, (_, found) = joined
    numbers = table(found, "objectives").numbers
    with h5py.File(paths[0]) as f:
        c = {k: f[k][...] for k in ("role", "temperature", "seed")}
        c |= {k: f[k][...].astype(str) for k in ("teacher_objective", "student_objective", "validation_labels")}
        worst = f["worst_class_accuracy"][:, 0]
    for row in numbers.itertuples():
        if row.row in ("none", "no teacher"):
            continue
        student = {"std-d": "standard", "bal-d": "balanced"}.get(row.row, "robust")
        rows = (c["role"] == 1) & (c["teacher_objective"] == row.column) & (c["student_objective"] == student)
        if student == "robust":
            rows &= c["validation_labels"] == ("teacher" if row.row.endswith("t-val") else "one_hot")
        by_t = {t: worst[rows & (c["temperature"] == t)].mean(axis=0) for t in (1.0, 3.0)}
        best = max(by_t, key=lambda t: by_t[t][0])
        assert row.temperature == best
        assert row.test_worst_mean == pytest.approx(by_t[best][1])
    assert set(numbers["row"]) == {"none", "std-d", "bal-d", "rob-d t-val", "rob-d o-val", "no teacher"}


def test_the_papers_numbers_stand_beside(joined):
    _, (_, found) = joined
    objectives = table(found, "objectives")
    row = objectives.shown.set_index("student").loc["rob-d t-val"]
    assert row["balanced teacher, paper"] == "73.1 ± 0.3 (80.0 ± 0.2)"  # ten teachers: supplement, table 3
    assert "supplement, table 3" in objectives.caption
    shown = table(found, "selected").shown.set_index("method")
    assert shown.loc["post shift", "worst class, paper"] == "74.3 ± 0.1"
    assert shown.loc["post shift", "worst class"].startswith("58.0")
    assert shown.loc["Group DRO", "worst class, paper"] == "59.9 ± 0.6"
    dro = table(found, "group_dro").shown.set_index("multipliers from")
    assert dro.loc["training batches", "paper"].startswith("51.6")
    ada = table(found, "ada_teachers").shown.set_index("method")
    assert ada.loc["AdaAlpha", "robust teacher, paper"].startswith("71.2")


@pytest.mark.parametrize(
    ("change", "has"),
    [
        ({"data.imbalance.ratio": "10"}, False),
        ({"data.source": '"idx"'}, False),
        ({"data.imbalance.profile": '"step"'}, False),
        ({"data.imbalance.ratio": "1"}, True),
    ],
)
def test_no_papers_numbers_for_other_data(tmp_path, change, has):
    path = Rows((0, 1, 2)).objectives(TRUE).write(tmp_path / "a.h5", grid=GRID | change)
    t = wang.tables.objective_table(view_of(path))
    assert any("paper" in c for c in t.shown.columns) == has
    assert t.numbers.get("paper_worst", pd.Series(dtype=float)).notna().any() == has


def test_one_teacher_takes_the_papers_table_of_one_teacher(tmp_path):
    grid = GRID | {"teacher.seed": "0"}
    path = Rows((0, 1, 2)).objectives(TRUE).write(tmp_path / "a.h5", grid=grid)
    row = wang.tables.objective_table(view_of(path)).shown.set_index("student").loc["std-d"]
    assert row["standard teacher, paper"].startswith("36.7")


def test_selected_keeps_the_average(tmp_path):
    """The best worst class costs average accuracy; the condition takes a smaller a_s."""

    def surface(a_t, a_s):
        return 0.45 + 0.2 * a_s - 0.05 * a_t, 0.85 - 0.1 * max(0.0, a_s - 0.25)

    rows = Rows(SEEDS, noise=0.0005).objectives(TRUE).tradeoffs(surface)
    assert wang.view.selected(view_of(rows.write(tmp_path / "a.h5"))) == ((0.0, 0.25), (0.0, 1.0))


def test_pareto_table_is_the_front(joined):
    _, (_, found) = joined
    numbers = table(found, "pareto").numbers
    assert len(numbers) == 25
    for p in numbers.itertuples():
        beaten = (
            (numbers.test_average_mean >= p.test_average_mean)
            & (numbers.test_worst_mean >= p.test_worst_mean)
            & ((numbers.test_average_mean > p.test_average_mean) | (numbers.test_worst_mean > p.test_worst_mean))
        )
        assert p.on_front == (not beaten.any())


def test_figures_of_the_joined_study(joined):
    _, (_, found) = joined
    drawn = {f.name for f in found.figures if isinstance(f, common.Drawn)}
    assert drawn == {"objectives", "pareto", "trajectories", "calibration"}
    for f in found.figures:
        width = f.figure.get_size_inches()[0]
        assert width in (common.COLUMN, common.PAGE)
        assert "n = 5" in f.caption and f.alt
        assert any(unit in f.caption for unit in ("%", "on test", "no unit"))


def test_calibration_is_of_the_students_own_teacher(joined):
    paths, (sweep, _) = joined
    points = wang.figures.calibration_points(wang.View(sweep, sweep.scenarios[0]))
    with h5py.File(paths[0]) as f:
        names, role, error = f["teacher_objective"][...].astype(str), f["role"][...], f["class_calibration"][:, 1]
    for t in ("standard", "balanced", "robust"):
        mine = points[points.teacher == t]
        assert len(mine) == 10  # standard and robust students, five seeds
        assert mine.largest.to_numpy() == pytest.approx(error[(role == 0) & (names == t)].max(axis=1)[0])
        assert mine["mean"].to_numpy() == pytest.approx(error[(role == 0) & (names == t)].mean(axis=1)[0])


# ---- what is missing -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: Rows((0,)).objectives({("standard", "standard"): 0.4}, alone={"standard": 0.4}, ada=False),
        lambda: Rows((0, 1)).group_dro(),
        lambda: Rows((0, 1)).tradeoffs(good, values=(0.25, 0.75)),
        lambda: Rows((0, 1)).objectives(TRUE, status="missing"),
        lambda: Rows((0, 1)).objectives(TRUE, status="diverged"),
    ],
)
def test_missing_pieces_are_told_and_never_crash(tmp_path, make):
    path = make().write(tmp_path / "a.h5", drop=("multiplier",))
    index, ((_, found),) = common.write_study(path, "wang", tmp_path / "out")
    skipped = [s for s in (*found.tables, *found.figures) if isinstance(s, common.Skipped)]
    assert skipped and all(s.reason and s.section for s in skipped)
    text = index.read_text(encoding="utf-8")
    assert "Left out" in text
    assert all(c.verdict in ("not in this sweep", "not enough seeds") for c in found.claims)


def test_file_of_either_schema(make):
    """Files as the general maker writes them, of the first schema and of this one."""
    for version in (1, 2):
        options = {"ratios": (100.0,), "temperatures": (1.0,), "seeds": (0, 1, 2), "schema_version": version}
        _, found = findings(make(f"study_{version}", **options)[0])
        reasons = " ".join(s.reason for s in (*found.tables, *found.figures) if isinstance(s, common.Skipped))
        assert ("class_calibration" in reasons) == (version == 1)
        assert {c.key: c.verdict for c in found.claims}["2.9 (iii) a"] == "not in this sweep"


def test_command_line(tmp_path, capsys):
    rows = Rows((0, 1, 2)).objectives(TRUE)
    path = rows.write(tmp_path / "a.h5", drop=("multiplier",))  # the fewer figures the better
    more = Rows((0, 1, 2)).group_dro().write(tmp_path / "b.h5")
    assert cli.main(["study", "wang", str(path), str(more), "-o", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert all(len(line) <= 80 for line in printed.splitlines() if str(tmp_path) not in line)
    assert re.search(r"2\.9 \(i\) +agrees", printed) and (tmp_path / "out" / "index.html").is_file()
    with pytest.raises(SystemExit) as e:
        cli.main(["study", "nobody", str(path)])
    assert e.value.code == 2
    assert cli.main(["study", "wang", str(tmp_path / "none.h5"), "-o", str(tmp_path / "x")]) == 3


# ---- the paper's numbers ---------------------------------------------------------------------------------------------


def test_reference_is_consistent_with_itself():
    """Numbers that the paper prints twice are the same here; its known contradictions are still there."""
    one = reference.find(table="supplement, table 1", data="cifar10", method="std-d", teacher="standard")
    two = reference.find(table="table 2", data="cifar10", method="standard distillation")
    assert (one.worst, one.average) == (two.worst, two.average) == (87.66, 94.34)
    one = reference.find(table="supplement, table 1", data="cifar10-lt", method="std-d", teacher="standard")
    three = reference.find(table="supplement, table 3", data="cifar10-lt", method="std-d", teacher="standard")
    assert (one.worst, three.worst) == (36.67, 60.12)
    five = reference.find(table="supplement, table 5", data="cifar10-lt", method="Group DRO, with validation")
    assert five.worst == reference.find(table="table 2", data="cifar10-lt", method="Group DRO").worst
    assert all(0 <= n.worst <= n.average <= 100 for n in reference.WANG)
    for data, a in reference.SELECTED.items():
        assert reference.find(table="table 2", data=data, method="selected a_t, a_s").a == a


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("cifar10", 1), "cifar10"),
        (("cifar10", "100"), "cifar10-lt"),
        (("cifar100", 100.0), "cifar100-lt"),
        (("cifar100", 100, "exponential", "coarse"), ""),
        (("cifar10", 100, "step"), ""),
        (("cifar10", 50), ""),
        (("idx", 1), ""),
        (("cifar10", ""), ""),
    ],
)
def test_data_key(args, expected):
    assert reference.data_key(*args) == expected
