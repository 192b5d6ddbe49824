"""What the studies share: verdicts, cross-fitted choice, joined files, what is written."""

import io
import math
import re
from types import SimpleNamespace

import h5py
import html5lib
import numpy as np
import pandas as pd
import pytest
from kdsweep_analysis import schema
from kdsweep_analysis.stats import summarize
from kdsweep_analysis.studies import STUDIES, common, load_study
from scipy import stats
from statsmodels.stats.power import TTestPower
from study_results import spread, write_study

pytestmark = pytest.mark.usefixtures("coarse")

# ---- verdicts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bound", [0.0, -0.01, 0.6])
def test_rule_of_the_verdicts(bound):
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(100):
        values = bound + rng.normal(rng.choice([-1, 0, 1]) * 0.05, rng.choice([0.002, 0.08]), rng.integers(3, 8))
        low, high = stats.t.interval(0.95, values.size - 1, values.mean(), stats.sem(values))
        s = summarize(values)
        want = "agrees" if low > bound else "disagrees" if high < bound else "not enough seeds"
        verdict, more = common.judge(s, bound)
        assert verdict == want
        mirrored = {"agrees": "disagrees", "disagrees": "agrees"}.get(want, want)
        assert common.judge(s, bound, "<")[0] == mirrored
        assert (more is not None) == (want == "not enough seeds")
        seen.add(want)
    assert len(seen) == 3


@pytest.mark.parametrize("values", [[0.3], [0.3, 0.3], [0.3, 0.31]])
def test_never_a_verdict_from_fewer_than_three_seeds(values):
    claim = common.Statement("k", "s", "p").judged("f", summarize(values))
    assert claim.verdict == "not enough seeds" and "more" in claim.more_text


def test_no_seed_is_not_in_this_sweep():
    assert common.judge(summarize({})) == ("not in this sweep", None)
    assert common.Statement("k", "s", "p").absent("why").verdict == "not in this sweep"


@pytest.mark.parametrize(("effect", "sd", "n"), [(0.02, 0.03, 3), (0.01, 0.01, 4), (-0.05, 0.2, 5), (0.001, 0.01, 10)])
def test_seeds_needed_reach_the_power(effect, sd, n):
    total = n + common.seeds_needed(effect, sd, n)
    power = lambda k: TTestPower().power(abs(effect) / sd, k, 0.05)  # noqa: E731
    assert total == n + 1 or power(total - 1) < common.POWER
    assert power(total) >= common.POWER


def test_seeds_needed_without_an_answer():
    assert common.seeds_needed(0.1, math.nan, 1) is None
    assert common.seeds_needed(0.0, 0.1, 5) == common.SEEDS_LIMIT + 1
    assert common.seeds_needed(1e-7, 0.1, 5) == common.SEEDS_LIMIT + 1
    assert common.seeds_needed(0.1, 0.0, 2) == 1


def test_an_effect_that_is_hardly_there_asks_for_very_many():
    claim = common.Statement("k", "s", "p").judged("f", summarize([0.1, -0.1, 0.05, -0.05]))
    assert claim.verdict == "not enough seeds" and claim.more_text == f"more than {common.SEEDS_LIMIT} more"


def test_effect_text():
    assert common.effect_text(summarize([0.02, 0.03, 0.04])) == "+3.0 points [+0.5, +5.5], n = 3"
    assert common.effect_text(summarize([-0.5]), unit="") == "−0.50 (one seed, no interval)"
    assert common.effect_text(summarize({})) == "no common seed"


# ---- cross-fitted choice ---------------------------------------------------------------------------------------------


def pool(path, values):
    """One student configuration per row of values[configuration][seed] = (validation, test) worst class."""
    rows = []
    for temperature, by_seed in enumerate(values, 1):
        for seed, (validation, test) in enumerate(by_seed):
            split = {"validation": spread(validation, 0.8, 10), "test": spread(test, 0.8, 10)}
            rows.append({"role": "student", "seed": seed, "temperature": float(temperature), **split})
    write_study(path, rows, classes=10)
    return common.open_sweeps(path)[0].configurations


def test_choice_leaves_out_the_seed_itself(tmp_path):
    # The first is lucky in seed 0 alone, on validation and on test; the second is better in every other seed.
    first = [(0.79, 0.79), (0.30, 0.30), (0.30, 0.30)]
    second = [(0.50, 0.50), (0.50, 0.49), (0.50, 0.51)]
    chosen = common.chosen_elsewhere(pool(tmp_path / "a.h5", [first, second]))
    assert {s: c.tuned["temperature"] for s, (c, _) in chosen.items()} == {0: 2.0, 1: 1.0, 2: 1.0}
    assert common.values_of(chosen) == pytest.approx({0: 0.50, 1: 0.30, 2: 0.30})


def test_choice_is_unbiased_where_there_is_nothing_to_choose(tmp_path):
    """Twenty equal configurations whose noise validation and test share: the usual choice is optimistic, this not."""
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.05, (20, 6))
    values = [[(0.5 + e, 0.5 + e) for e in row] for row in noise]
    configurations = pool(tmp_path / "a.h5", values)
    naive = max(np.mean([v for _, v in row]) for row in values)
    mean = summarize(common.values_of(common.chosen_elsewhere(configurations))).mean
    assert naive > 0.52
    assert abs(mean - 0.5) < 0.03 and mean < naive - 0.01


def test_one_seed_chooses_for_itself(tmp_path):
    chosen = common.chosen_elsewhere(pool(tmp_path / "a.h5", [[(0.3, 0.5)], [(0.4, 0.2)]]))
    assert common.values_of(chosen) == pytest.approx({0: 0.2})


# ---- joined files ----------------------------------------------------------------------------------------------------


def rows_of(seeds, temperatures, worst=0.5, swept=True, status="done", objective="standard"):
    rows = []
    for seed in seeds:
        rows.append({"role": "teacher", "seed": seed, "teacher_objective": "standard", "test": spread(0.6, 0.8, 4)})
    for i, seed in enumerate(seeds):
        for t in temperatures:
            row = {"role": "student", "seed": seed, "teacher": i, "status": status}
            row |= {"teacher_objective": "standard", "student_objective": objective}
            row |= {"temperature": t} if swept else {}
            rows.append(row | {"test": spread(worst + 0.01 * t, 0.8, 4)})
    return rows


def test_join_puts_trials_one_after_the_other_and_keeps_relations(tmp_path):
    write_study(tmp_path / "a.h5", rows_of((0, 1), (1.0, 3.0)), grid={"student.temperature": "[1, 3]"})
    write_study(tmp_path / "b.h5", rows_of((0, 1, 2), (5.0,)), grid={"student.temperature": "[5]"}, n_epochs=9)
    (sweep,) = common.open_sweeps([tmp_path / "a.h5", tmp_path / "b.h5"])
    assert sweep.n_trials == 6 + 6 - 2  # the teachers of seeds 0 and 1 are in both
    assert sweep.ds.sizes["epoch"] == 9
    students = sweep.role == "student"
    teacher = sweep.ds["teacher_trial"].values[students]
    assert (sweep.role[teacher] == "teacher").all()
    assert (sweep.column("seed")[teacher] == sweep.column("seed")[students]).all()
    by_t = {c.tuned["temperature"]: c.n for c in sweep.select("student")}
    assert by_t == {1.0: 2, 3.0: 2, 5.0: 3}


def test_join_fills_what_a_grid_does_not_vary(tmp_path):
    write_study(
        tmp_path / "a.h5",
        rows_of((0, 1), (1.0, 3.0)),
        grid={"student.temperature": "[1, 3]", "data.imbalance.ratio": "1"},
    )
    fixed = {"student.temperature": "7", "data.imbalance.ratio": "100"}
    write_study(tmp_path / "b.h5", rows_of((0, 1), (7.0,), swept=False, objective="robust"), grid=fixed, salt="100")
    (sweep,) = common.open_sweeps([tmp_path / "a.h5", tmp_path / "b.h5"])
    assert sweep.scenario_columns == ["imbalance_ratio"]
    found = {(c.scenario, c.student_objective, c.tuned["temperature"]) for c in sweep.select("student")}
    assert found == {((1.0,), "standard", 1.0), ((1.0,), "standard", 3.0), ((100.0,), "robust", 7.0)}
    teachers = sweep.role == "teacher"
    assert teachers.sum() == 4
    assert np.isnan(sweep.column("temperature")[teachers]).all()  # has no meaning there
    assert not np.isnan(sweep.column("imbalance_ratio")).any()


def test_join_takes_a_trial_once_and_the_finished_one(tmp_path):
    grid = {"student.temperature": "[1]"}
    write_study(tmp_path / "a.h5", rows_of((0, 1), (1.0,), status="missing"), grid=grid)
    write_study(tmp_path / "b.h5", rows_of((0, 1), (1.0,)), grid=grid)
    for order in ("ab", "ba"):
        (sweep,) = common.open_sweeps([tmp_path / f"{n}.h5" for n in order])
        assert sweep.n_trials == 4 and sweep.done.all()


def test_join_keeps_other_data_apart(tmp_path):
    write_study(tmp_path / "a.h5", rows_of((0,), (1.0,)), fingerprint="a")
    write_study(tmp_path / "b.h5", rows_of((0,), (1.0,)), fingerprint="b")
    sweeps = common.open_sweeps([tmp_path / "a.h5", tmp_path / "b.h5"])
    assert len(sweeps) == 2 and sweeps[0].name != sweeps[1].name


def test_read_finds_the_rows_of_each_file(tmp_path):
    for name, t in (("a", (1.0,)), ("b", (3.0,))):
        rows = rows_of((0, 1), t)
        for i, row in enumerate(rows):
            row["multiplier"] = np.full((6, 4), i + 10 * t[0])
        write_study(tmp_path / f"{name}.h5", rows)
    (sweep,) = common.open_sweeps([tmp_path / "a.h5", tmp_path / "b.h5"])
    assert "multiplier" not in sweep.ds and sweep.has("multiplier") and not sweep.has("logits")
    assert sweep.read("logits", [0]) is None
    trials = np.flatnonzero(sweep.role == "student")[::-1]
    values = sweep.read("multiplier", trials)[:, 0, 0]
    expected = []
    for i in trials:
        path, row = sweep.sources[i]
        with h5py.File(path) as f:
            expected.append(f["multiplier"][row, 0, 0])
    assert values.tolist() == expected and len(set(expected)) == 4


def test_resolved_keys():
    text = 'seeds = [0, 1];\ndata.source = "cifar10";\ntrain.lr = 0.1;\nteacher.seed = -1;\naugment.flip = true;\n'
    keys = common.resolved_keys(text)
    assert {k: common._scalar(v) for k, v in keys.items()} == {
        "seeds": None,
        "data.source": "cifar10",
        "train.lr": 0.1,
        "teacher.seed": -1,
        "augment.flip": 1,
    }
    assert common._scalar("[3]") == 3


# ---- what is written -------------------------------------------------------------------------------------------------


def small_study(draw=("dots",)):
    """A study with a small figure and a table for each of these names."""

    def build(sweep):
        found = common.Findings()
        for name in draw:
            figure = common.new_figure(1.0, 1.0)
            ax = figure.subplots()
            ax.imshow(np.eye(2))  # an image, text, marks and what clips them: all that has names in a file
            ax.plot([0, 1], marker="o", label="a line")
            figure.legend(loc="outside lower center")
            found.figures.append(common.Drawn(name, "Section", "Title", "Caption.", figure, "Alternative"))
            numbers = pd.DataFrame({"n": [sweep.n_trials]})
            found.tables.append(common.Table(name, "Title", "Caption.", numbers.astype(str), numbers))
        return found

    return SimpleNamespace(TITLE="A small study", PAPER="After nobody.", SELECTION="last", CHOICE="Nothing is chosen.", build=build)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    from test_study_wang import GRID, TRUE, Rows, good

    folder = tmp_path_factory.mktemp("study")
    path = Rows((0, 1, 2)).objectives(TRUE).tradeoffs(good).write(folder / "a.h5", grid=GRID)
    index, results = common.write_study(path, "wang", folder / "out", title="A <title> & more")
    return path, folder / "out", index, results


def test_page_is_valid_and_self_contained(written):
    _, _, index, _ = written
    text = index.read_text(encoding="utf-8")
    html5lib.HTMLParser(strict=True).parse(text)
    assert "A &lt;title&gt; &amp; more" in text
    assert not re.search(r'(src|href)="(?!data:|#|figures/|tables/|trends)', text)
    for target in re.findall(r'href="((?:figures|tables|trends)[^"]+)"', text):
        assert (index.parent / target).is_file(), target
    assert str(index.parent) not in text


def test_every_figure_and_table_is_written(written):
    _, folder, _, ((_, found),) = written
    for f in found.figures:
        if isinstance(f, common.Drawn):
            assert all((folder / "figures" / f"{f.name}.{e}").stat().st_size > 1000 for e in ("svg", "png", "pdf"))
    for t in found.tables:
        if isinstance(t, common.Table):
            back = pd.read_csv(folder / "tables" / f"{t.name}.csv")
            assert list(back.columns) == list(t.numbers.columns) and len(back) == len(t.numbers)
            lines = (folder / "tables" / f"{t.name}.md").read_text(encoding="utf-8").splitlines()
            assert sum(line.startswith("|") for line in lines) == len(t.shown) + 2


def test_jackknife_of_what_is_not_chosen_is_the_t_interval():
    values = {seed: float(v) for seed, v in enumerate(np.random.default_rng(5).normal(0.1, 0.3, 7))}
    found = common.jackknife(lambda without: {s: v for s, v in values.items() if s != without})
    plain = summarize(values)
    assert (found.mean, found.sd, found.low, found.high) == pytest.approx((plain.mean, plain.sd, plain.low, plain.high))
    assert found.n == 7 and np.isnan(common.jackknife(lambda without: {1: 0.5} if without is None else {}).low)
    columns = common.jackknife_columns(lambda w: {s: np.array([v, -v]) for s, v in values.items() if s != w}, 2)
    assert [c.high for c in columns] == pytest.approx([plain.high, -plain.low])


def test_jackknife_holds_where_equal_candidates_compete():
    """The best of eight against the best of two, all equal in truth, chosen for each seed from the others: a t-interval
    of the differences leaves out 0 about twice as often as it says, the jackknife's does not."""
    rng, n, repeats = np.random.default_rng(6), 10, 1500
    outside = {"jackknife": 0, "t": 0}
    for _ in range(repeats):
        sides = []
        for k in (8, 2):
            trained = rng.normal(0, 0.8**0.5, (k, n))
            sides.append([trained + rng.normal(0, 0.2**0.5, (k, n)) for _ in ("validation", "test")])

        def effects(without=None):
            kept = np.array([s for s in range(n) if s != without])
            values = []
            for validation, test in sides:
                v = validation[:, kept]
                chosen = (v.sum(axis=1, keepdims=True) - v).argmax(axis=0)
                values.append(test[chosen, kept])
            return dict(zip(kept.tolist(), values[0] - values[1]))

        for word, s in (("jackknife", common.jackknife(effects)), ("t", summarize(effects()))):
            outside[word] += not s.low <= 0 <= s.high
    assert outside["jackknife"] / repeats < 0.07 < outside["t"] / repeats


def test_trends_are_the_claims(written):
    _, folder, _, ((_, found),) = written
    trends = pd.read_csv(folder / "trends.csv")
    assert trends["key"].tolist() == [c.key for c in found.claims]
    assert trends["verdict"].tolist() == [c.verdict for c in found.claims]
    scale = [100 if c.unit in ("points", "%") else 1 for c in found.claims]
    assert {c.unit for c in found.claims} >= {"points", ""}
    for name in ("effect", "low", "high", "bound"):
        expected = [k * getattr(c, name) for k, c in zip(scale, found.claims)]
        assert trends[name].to_numpy() == pytest.approx(expected, nan_ok=True)


def test_the_same_file_gives_the_same_bytes(tmp_path):
    path = tmp_path / "a.h5"
    write_study(path, rows_of((0,), (1.0,)))
    for folder in ("first", "again"):
        common.write_study(path, small_study(), tmp_path / folder)
    names = (tmp_path / "first" / common.MANIFEST).read_text().split()
    assert len(names) == 7 and "figures/dots.svg" in names
    for name in names:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_old_files_of_the_study_go_and_others_stay(tmp_path):
    path, out = tmp_path / "a.h5", tmp_path / "out"
    write_study(path, rows_of((0,), (1.0,)))
    common.write_study(path, small_study(("dots", "lines")), out)
    old = [out / "figures" / f"lines.{e}" for e in ("svg", "png", "pdf")]
    old += [out / "tables" / f"lines.{e}" for e in ("csv", "md")]
    assert all(p.is_file() for p in old)
    (out / "figures" / "mine.svg").write_text("mine")
    (tmp_path / "outside.txt").write_text("stays")
    with open(out / common.MANIFEST, "a") as f:
        f.write("../outside.txt\n/etc/hostname\n")
    common.write_study(path, small_study(), out)
    assert not any(p.exists() for p in old) and (out / "figures" / "dots.svg").is_file()
    assert (out / "figures" / "mine.svg").is_file() and (tmp_path / "outside.txt").is_file()


def test_several_data_sets_do_not_overwrite_each_other(tmp_path):
    paths = []
    for source in ("cifar10", "cifar100"):
        paths.append(tmp_path / f"{source}.h5")
        write_study(paths[-1], rows_of((0,), (1.0,)), grid={"data.source": f'"{source}"'}, fingerprint=source)
    index, results = common.write_study(paths, small_study(), tmp_path / "out")
    assert [s.name for s, _ in results] == ["cifar10", "cifar100"]
    for name in ("cifar10_dots", "cifar100_dots"):
        assert (tmp_path / "out" / "figures" / f"{name}.svg").is_file()
        assert (tmp_path / "out" / "tables" / f"{name}.csv").is_file()
    html5lib.HTMLParser(strict=True).parse(index.read_text(encoding="utf-8"))


def test_summary_fits_the_terminal(written):
    *_, results = written
    out = io.StringIO()
    common.print_summary(results, file=out)
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    for _, found in results:
        for claim in found.claims:
            assert any(claim.key in line for line in lines)


def printed(*claims):
    out = io.StringIO()
    common.print_summary([(SimpleNamespace(name="data"), common.Findings(claims=list(claims)))], file=out)
    return out.getvalue().splitlines()


def test_summary_is_in_columns():
    short, long, no = (common.Statement(key, "s", "p") for key in ("1 a", "1 a longer key", "2 b"))
    undecided = summarize([0.2, -0.1, 0.0, 0.1])
    more = long.judged("f", undecided).more_text
    lines = printed(
        short.judged("f", summarize([0.02, 0.03, 0.04])),
        long.judged("f", undecided),
        no.absent("why"),
    )
    assert lines == [
        "data",
        "  1 a             agrees            +3.0 points [+0.5, +5.5], n=3",
        "  1 a longer key  not enough seeds  +5.0 points [-15.5, +25.5], n=4,",
        f"                                    {more}",
        "  not in this sweep: 2 b",
        "agrees: 1, not enough seeds: 1, not in this sweep: 1",
    ]
    # where keys leave no room, what was found stands below; intervals are not broken
    wide = common.Statement("a key of forty characters and then a few", "s", "p")
    lines = printed(wide.judged("f", undecided, unit="a long unit"), short.absent("why"))
    assert lines[1:3] == [
        "  a key of forty characters and then a few  not enough seeds",
        f"      +0.05 a long unit [-0.16, +0.26], n=4, {more}",
    ]


@pytest.mark.parametrize("name", list(STUDIES))
def test_every_study_says_what_it_is(name):
    module = load_study(name)
    assert module.TITLE and module.PAPER and module.SELECTION in schema.SELECTIONS and callable(module.build)
