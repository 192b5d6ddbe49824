"""Lukasik, Bhojanapalli, Menon, Kumar: Teacher's pet: understanding and mitigating biases in distillation, TMLR 2022
(methods.md 1): what distillation gives to some classes and takes from others, and AdaAlpha and AdaMargin against it.

Methods: the one-hot student (no teacher), distillation (standard student of a standard teacher), AdaAlpha and AdaMargin
of the same teacher. What varies within a method is chosen by the AVERAGE accuracy on validation, which is what
distillation is used for; to choose by the worst class would hide what the paper is about. The choice for a seed is made
on the other seeds (common.chosen_elsewhere).

The paper's tables could not be seen (methods.md 1.6); beside ours stand the numbers that Wang et al. (2023) got with
these methods.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from scipy import stats as _stats

from .. import classes as class_sets
from .. import metrics, schema
from ..agreement import prediction_matrix
from ..figures import INK, MAX_SCENARIOS, _bars, _n_text, _percent_axis
from ..stats import summarize
from . import reference
from .common import (
    COLUMN,
    Drawn,
    Findings,
    Skipped,
    Table,
    cell,
    chosen_elsewhere,
    effect_cell,
    effect_text,
    jackknife,
    jackknife_columns,
    new_figure,
    table_of,
    values_of,
    within_seeds,
)
from .per_seed import (
    by_average,
    difference_over,
    read_at,
    recalls,
    related_rows,
    rows_by_seed,
    summarize_columns,
    tuned_text,
)
from .scope import Scope

TITLE = "Distillation and subgroups: the study repeated"
PAPER = (
    "After Lukasik, Bhojanapalli, Menon and Kumar: Teacher's Pet: Understanding and Mitigating Biases in Distillation, "
    "TMLR 2022 (arXiv:2106.10494)."
)
CHOICE = "What varies within a method is chosen for each seed on validation from the other seeds, in claims, tables and figures."
SELECTION = "last"  # margins of the teacher are those of the last epoch too

ONE_HOT, PLAIN, ADA_ALPHA, ADA_MARGIN = "one-hot student", "distillation", "AdaAlpha", "AdaMargin"
METHODS = (ONE_HOT, PLAIN, ADA_ALPHA, ADA_MARGIN)
TAUGHT = METHODS[1:]
LOOK = {
    ONE_HOT: {"color": "#6E6E6E", "marker": "X", "linestyle": (0, (1.5, 1.5)), "hatch": ""},
    PLAIN: {"color": "#0072B2", "marker": "o", "linestyle": "-", "hatch": ""},
    ADA_ALPHA: {"color": "#E69F00", "marker": "s", "linestyle": (0, (5, 1.5)), "hatch": "////"},
    ADA_MARGIN: {"color": "#009E73", "marker": "^", "linestyle": (0, (4, 1.2, 1, 1.2)), "hatch": "...."},
}
EACH_CLASS = 20  # up to so many classes each is a bar; beyond, tenths of the classes
TEACHER_MEASURES = {
    "class_margin": "margin",
    "class_probability": "probability",
    "class_error": "error",
    "class_log_loss": "log loss",
}


def build(sweep) -> Findings:
    out = Findings()
    views = [View(sweep, s) for s in sweep.scenarios]
    if not any(c.n for c in sweep.configurations):
        out.tables.append(Skipped("All tables", "no trial is finished yet"))
        out.figures.append(Skipped("All figures", "no trial is finished yet"))
        return out
    out.tables += [methods_table(views), bins_table(views, "frequency"), bins_table(views, "accuracy")]
    out.tables += [teacher_table(views), classes_table(views)]
    for view in views[:MAX_SCENARIOS]:
        out.figures += [bars_figure(view), margin_figure(view), classes_figure(view)]
    for view in views:
        out.claims += claims(view)
    out.notes = notes(views)
    return out


# ---- what a scenario holds -------------------------------------------------------------------------------------------


class View(Scope):
    """One scenario in the words of the paper."""

    def __init__(self, sweep, scenario):
        super().__init__(sweep, scenario)
        self.m = sweep.n_classes
        self.count = sweep.train_count(scenario)
        self.balanced = self.count is None or class_sets.is_balanced(self.count)
        found = {
            ONE_HOT: sweep.select("baseline", scenario, student="standard"),
            PLAIN: sweep.select("student", scenario, "standard", "standard"),
            ADA_ALPHA: sweep.select("student", scenario, "standard", "ada_alpha"),
            ADA_MARGIN: sweep.select("student", scenario, "standard", "ada_margin"),
        }
        # without a weight on the teacher it is no distillation
        self.candidates = {k: [c for c in v if c.n and c.tuned.get("mixing", 1) != 0] for k, v in found.items()}
        self._without = {}
        self._choose(None)

    def _choose(self, without):
        chosen = {k: chosen_elsewhere(v, merit=by_average, without=without) for k, v in self.candidates.items()}
        self.chosen = {k: v for k, v in chosen.items() if v}
        self._recalls = {}

    def without(self, seed):
        """The same without a seed: what is chosen, and all that follows from it, comes from the others. None: itself."""
        if seed is None:
            return self
        if seed not in self._without:
            self._without[seed] = view = copy.copy(self)
            view._choose(seed)
        return self._without[seed]

    def missing(self, *methods):
        """Why something that needs these methods cannot be made; "" when it can."""
        gone = [m for m in methods if m not in self.chosen]
        need = {
            ONE_HOT: "a standard student without a teacher",
            PLAIN: "a standard student of a standard teacher",
            ADA_ALPHA: "an ada_alpha student of a standard teacher",
            ADA_MARGIN: "an ada_margin student of a standard teacher",
        }
        return "No finished trial of " + ", nor of ".join(need[g] for g in gone) + "." if gone else ""

    def values(self, method, measure):
        """seed -> value on test."""
        return values_of(self.chosen.get(method, {}), measure)

    def recalls(self, method, split="test"):
        """seed -> recall[class], at what was chosen for that seed."""
        key = method, split
        if key not in self._recalls:
            out, known = {}, {}
            for seed, (c, _) in self.chosen.get(method, {}).items():
                if id(c) not in known:
                    known[id(c)] = recalls(self.sweep, c, split)
                out[seed] = known[id(c)][seed]
            self._recalls[key] = out
        return self._recalls[key]

    def gains(self, method, against=ONE_HOT):
        """seed -> difference of recalls[class]"""
        return difference_over(self.recalls(method), self.recalls(against))

    def trials(self, method):
        """seed -> rows of what was chosen for that seed"""
        return {seed: rows_by_seed(self.sweep, c)[seed] for seed, (c, _) in self.chosen.get(method, {}).items()}

    # -- sets of classes --

    def parts(self):
        """Head, torso, tail of each class (thirds by training examples); None where all classes are as frequent."""
        return None if self.balanced else class_sets.head_torso_tail(self.count)

    def part_values(self, method, part):
        """seed -> mean recall over head, torso or tail"""
        codes = self.parts()
        if codes is None or not (codes == part).any():
            return {}
        return {s: float(np.nanmean(r[codes == part])) for s, r in self.recalls(method).items()}

    def hardest(self, split="validation"):
        """seed -> mask of the third of the classes at which the one-hot students of the OTHER seeds are worst on
        validation (of one seed: its own); not the test recalls that are then compared."""
        return {s: p == 0 for s, p in _others(self.recalls(ONE_HOT, split), 3).items()}

    def hardest_values(self, method):
        masks = {s: m for s, m in self.hardest().items() if m.any()}
        return {s: float(np.nanmean(r[masks[s]])) for s, r in self.recalls(method).items() if s in masks}

    # -- the teacher --

    def teacher_trials(self, method=PLAIN):
        """seed -> rows of the teachers of what was chosen for that seed"""
        out = {}
        for seed, rows in self.trials(method).items():
            found = [r for r in related_rows(self.sweep, rows, "teacher") if r >= 0]
            if found:
                out[seed] = found
        return out

    def teacher(self, variable, part, method=PLAIN):
        """seed -> value[class] of the teacher of that seed; {} where the file has not got it."""
        out = {}
        for seed, rows in self.teacher_trials(method).items():
            values = read_at(self.sweep, variable, rows)
            if values is not None:
                out[seed] = values[:, schema.PARTS.index(part)].astype(np.float64).mean(axis=0)
        return {s: v for s, v in out.items() if np.isfinite(v).any()}

    def predictions(self, rows_of):
        """seed -> prediction[trial, example] for seed -> rows; None where predictions were not stored."""
        out = {}
        for seed, rows in rows_of.items():
            values = read_at(self.sweep, "prediction", rows)
            if values is None:
                return None
            out[seed] = values
        return out


def _others(values, n):
    """seed -> part of each class by the mean of values[class] over the other seeds; 0 has the smallest."""
    out = {}
    for seed in values:
        others = [v for s, v in values.items() if s != seed] or [values[seed]]
        out[seed] = class_sets.deciles_by_accuracy(np.mean(others, axis=0), n)
    return out


def spearman(x, y):
    """Spearman's correlation over the classes where both are finite; NaN of fewer than three, or without variation."""
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    keep = np.isfinite(x) & np.isfinite(y)
    if keep.sum() < 3 or np.ptp(x[keep]) == 0 or np.ptp(y[keep]) == 0:
        return math.nan
    return float(_stats.spearmanr(x[keep], y[keep]).statistic)


def correlation(view, variable, part, method=PLAIN):
    """Summary over seeds of the correlation over classes of the teacher's measure with the gain of the student."""

    def effects(without=None):
        v = view.without(without)
        teacher, gain = v.teacher(variable, part, method), v.gains(method)
        return {s: spearman(teacher[s], gain[s]) for s in teacher if s in gain}

    s = jackknife(effects)
    return replace(s, low=max(-1.0, s.low), high=min(1.0, s.high)) if s.n > 1 else s


def copied_errors(view, method):
    """Of the test examples that the teacher gets wrong, how many does the student give the SAME wrong class: per seed
    (copied by the student, copied by the one-hot student of that seed, errors of the teacher), as counts; None without
    stored predictions.

    Two models err alike where an example is hard or mislabelled. What the one-hot student, which has never seen the
    teacher, shares with it is that part; only what a distilled student shares beyond it has come from the teacher.
    """
    label = view.sweep.ds["label"].values.astype(np.int64) if "label" in view.sweep.ds else None
    if label is None:
        return None
    students = view.predictions(view.trials(method))
    one_hot = view.predictions(view.trials(ONE_HOT))
    teachers = view.predictions(view.teacher_trials(method))
    if students is None or one_hot is None or teachers is None:
        return None
    out = {}
    for seed in sorted(set(students) & set(one_hot) & set(teachers)):
        copied = []
        for models in (students, one_hot):
            both = _same_wrong(teachers[seed], models[seed], label, view.m)
            copied.append(both)
        errors = float(np.mean([(t != label).sum() for t in teachers[seed]]))
        out[seed] = (*copied, errors)
    return out


def _same_wrong(teachers, students, label, m):
    """Mean over pairs (trial for trial where there are as many, else with the first teacher) of the number of examples
    with the same wrong prediction."""
    pairs = zip(teachers if len(teachers) == len(students) else [teachers[0]] * len(students), students)
    counts = []
    for t, s in pairs:
        wrong = t != label
        counts.append(np.trace(prediction_matrix(t[wrong], s[wrong], m)))
    return float(np.mean(counts))


# ---- tables ----------------------------------------------------------------------------------------------------------


def methods_table(views):
    """The four methods: accuracies, and what they gain on the one-hot student."""
    title = "One-hot student, distillation, AdaAlpha, AdaMargin"
    shown, numbers, used = [], [], False
    for view in views:
        for method in METHODS:
            if method not in view.chosen:
                continue
            values = _measures(view, method)
            reference_values = _measures(view, ONE_HOT) if ONE_HOT in view.chosen and method != ONE_HOT else {}
            row = {**view.shown_keys, "method": method, "chosen": tuned_text(view.chosen[method])}
            record = dict(row)
            for name, seeds in values.items():
                s = summarize(seeds)
                row.setdefault("n", s.n)
                row[name] = cell(s)
                record |= {f"{name}_mean": s.mean, f"{name}_sd": s.sd, f"{name}_n": s.n}
            for name in ("average", "worst class", "tail"):
                if name in reference_values and name in values:
                    d = _difference(view, method, ONE_HOT, lambda v, m, name=name: _measures(v, m).get(name, {}))
                    row[f"Δ {name}"] = effect_cell(d)
                    record |= {f"difference_{name}": d.mean, f"difference_{name}_low95": d.low}
                    record |= {f"difference_{name}_high95": d.high, f"difference_{name}_n": d.n}
            paper = _rerun(view, method)
            if paper is not None:
                used = True
                row["Wang et al.: worst (average)"] = paper.text()
                record |= {"wang_worst": paper.worst / 100, "wang_average": paper.average / 100}
            shown.append(row)
            numbers.append(record)
    if not shown:
        return Skipped(title, "no finished trial of any of the four methods")
    order = [*views[0].keys, "method", "chosen"] if any(row["chosen"] for row in shown) else [*views[0].keys, "method"]
    order += ["n", "average", "balanced", "worst class", f"worst {views[0].sweep.worst_k}", "head", "torso", "tail"]
    order += ["Δ average", "Δ worst class", "Δ tail", "Wang et al.: worst (average)"]
    caption = (
        "Test accuracy in %, mean ± standard deviation over n seeds (ddof 1). Head, torso and tail: mean recall over "
        "thirds of the classes by training examples, where these differ. Δ: paired difference to the one-hot student "
        "in percentage points with its 95 % interval over seeds. What varies within a method is chosen for each seed "
        "by the average accuracy on validation of the other seeds; the interval is a jackknife's that repeats the choice."
    )
    if used:
        caption += (
            " Last column: the numbers of Wang et al. (2023) for these methods (its table 2, or for ResNet-32 its figures "
            "2 to 4), worst class (average), mean ± STANDARD ERROR, ResNet-56 and 450 or 256 epochs; the tables of Lukasik et al. could not be seen."
        )
    return Table("methods", title, caption, table_of(shown, order), pd.DataFrame(numbers))


def _measures(view, method):
    """measure -> seed -> value"""
    out = {"average": view.values(method, "average"), "worst class": view.values(method, "worst")}
    per_class = view.recalls(method)
    out["balanced"] = {s: float(np.nanmean(r)) for s, r in per_class.items()}
    k = view.sweep.worst_k
    if "worst_k" in view.sweep.measures:
        out[f"worst {k}"] = {s: float(metrics.worst_k(r, k)) for s, r in per_class.items()}
    for code, part in enumerate(class_sets.CLASS_PARTS):
        values = view.part_values(method, code)
        if values:
            out[part] = values
    return out


_RERUN = {PLAIN: "standard distillation", ADA_ALPHA: "AdaAlpha", ADA_MARGIN: "AdaMargin"}


def _rerun(view, method):
    """The number of Wang et al. for this method, if data and networks are theirs."""
    data = view.reference_data("1" if view.balanced else "")
    if not data or method not in _RERUN:
        return None
    return reference.find(data=data, networks=view.networks(), method=_RERUN[method], teacher="")


def bins(view, by):
    """(names, [classes of each bin]) from rarest or hardest on; ([], []) if the classes do not differ."""
    if by == "frequency":
        if view.balanced:
            return [], []
        values = view.count.astype(np.float64)
    else:
        found = view.recalls(ONE_HOT, "validation")
        if not found:
            return [], []
        values = np.mean(list(found.values()), axis=0)
        if not np.isfinite(values).any():
            return [], []
    if view.m <= EACH_CLASS:
        order = np.argsort(values, kind="stable")
        return [view.sweep.classes[c] for c in order], [np.array([c]) for c in order]
    part = class_sets.deciles_by_frequency(values) if by == "frequency" else class_sets.deciles_by_accuracy(values)
    kept = [i for i in range(10) if (part == i).any()]
    return [str(i + 1) for i in kept], [np.flatnonzero(part == i) for i in kept]


def bin_gains(view, method, by):
    """Summary over seeds of the mean gain on the one-hot student, for each bin."""
    _, of = bins(view, by)

    def means(without=None):
        return {s: np.array([np.nanmean(g[b]) for b in of]) for s, g in view.without(without).gains(method).items()}

    return jackknife_columns(means, len(of))


def class_gains(view):
    """Summary over seeds of the gain of distillation on the one-hot student, for each class."""
    return jackknife_columns(lambda without: view.without(without).gains(PLAIN), view.m)


def _why_no_bins(view, by):
    if by == "frequency" and view.balanced:
        return "all classes have as many training examples"
    return view.missing(ONE_HOT) or "no recall on validation"


def bins_table(views, by):
    what = "training examples" if by == "frequency" else "accuracy of the one-hot student"
    one = views[0].m <= EACH_CLASS
    title = f"Gain on the one-hot student, {'classes' if one else 'tenths of the classes'} by {what}"
    shown, numbers, reasons = [], [], []
    for view in views:
        names, of = bins(view, by)
        methods = [m for m in TAUGHT if m in view.chosen] if ONE_HOT in view.chosen else []
        if not names or not methods:
            reasons.append(view.title(_why_no_bins(view, by) if not names else view.missing(ONE_HOT, PLAIN)))
            continue
        where = view.shown_keys
        found = {m: bin_gains(view, m, by) for m in methods}
        for i, name in enumerate(names):
            row = {**where, "class" if one else "tenth": name}
            if view.count is not None:
                row["training examples"] = f"{view.count[of[i]].mean():.0f}"
            row["one-hot student"] = cell(
                summarize({s: float(np.nanmean(r[of[i]])) for s, r in view.recalls(ONE_HOT).items()})
            )
            for method in methods:
                s = found[method][i]
                row[method] = effect_cell(s)
                numbers.append(
                    {**where, "bin": name, "n_classes": len(of[i]), "method": method, "gain": s.mean, "sd": s.sd}
                    | {"low95": s.low, "high95": s.high, "n": s.n}
                )
            shown.append(row)
    if not shown:
        return Skipped(title, "; ".join(dict.fromkeys(reasons)))
    caption = (
        f"{'Classes' if one else 'Tenths of the classes'} from the {'rarest' if by == 'frequency' else 'hardest'} on"
        + ("" if by == "frequency" else " (recall of the one-hot student on validation, mean over seeds)")
        + ". Test recall of the one-hot student in %, mean ± standard deviation over seeds; differences of the others "
        "to it within a seed, in percentage points with 95 % jackknife intervals, not adjusted for their number."
    )
    return Table(f"gain_by_{by}", title, caption, table_of(shown), pd.DataFrame(numbers))


def teacher_table(views):
    title = "What the teacher's quality on a class says about the gain of distillation there"
    shown, numbers, reasons = [], [], []
    for view in views:
        why = view.missing(ONE_HOT, PLAIN)
        if not why and not any(view.sweep.has(v) for v in TEACHER_MEASURES):
            why = "the file has no margins of classes (class_margin; results schema 2)"
        if why:
            reasons.append(view.title(why))
            continue
        where = view.shown_keys
        for method in (m for m in TAUGHT if m in view.chosen):
            for part in schema.PARTS:
                row = {**where, "student": method, "teacher measured on": part}
                for variable, word in TEACHER_MEASURES.items():
                    s = correlation(view, variable, part, method)
                    row[word] = effect_cell(s, "")
                    row["n"] = max(row.get("n", 0), s.n)
                    numbers.append(
                        {**where, "student": method, "part": part, "measure": variable, "spearman": s.mean}
                        | {"sd": s.sd, "low95": s.low, "high95": s.high, "n": s.n}
                    )
                if row["n"]:
                    shown.append(row)
    if not shown:
        return Skipped(title, "; ".join(dict.fromkeys(reasons)) or "the teachers have no measures of classes")
    frame = pd.DataFrame(shown)
    frame = frame[[*[c for c in frame.columns if c not in ("n",)], "n"]]
    caption = (
        f"Spearman's correlation over the {views[0].m} classes of the teacher's measure on a class with the gain of "
        "the student on the one-hot student there (test recall), one per seed; mean and 95 % jackknife interval over n seeds. "
        "Margin: mean of p_y - (1 - p_y) / (m - 1) over the examples of the class. On its training examples an "
        "over-fitted teacher is nearly as sure of every class; measured on test it shares examples with the gain, so "
        "validation is the part to read."
    )
    return Table("teacher_and_gain", title, caption, frame, pd.DataFrame(numbers))


def classes_table(views):
    title = "Teacher and gain, class by class"
    shown, numbers, reasons = [], [], []
    for view in views:
        why = view.missing(ONE_HOT, PLAIN)
        if why:
            reasons.append(view.title(why))
            continue
        where = view.shown_keys
        order = np.argsort(-view.count, kind="stable") if view.count is not None else np.arange(view.m)
        of_method = {m: summarize_columns(view.recalls(m), view.m) for m in METHODS if m in view.chosen}
        gain = class_gains(view)
        teacher = {v: view.teacher(v, "validation") for v in TEACHER_MEASURES}
        teacher = {v: summarize_columns(t, view.m) for v, t in teacher.items() if t}
        for c in order:
            row = {**where, "class": view.sweep.classes[c]}
            record = dict(row)
            if view.count is not None:
                row["training examples"] = record["train_count"] = int(view.count[c])
            for v, s in teacher.items():
                row[f"teacher's {TEACHER_MEASURES[v]}"] = cell(s[c], 2, 1)
                record |= {f"teacher_{v}_mean": s[c].mean, f"teacher_{v}_sd": s[c].sd}
            for m, s in of_method.items():
                row[m] = cell(s[c])
                record |= {f"{m}_mean": s[c].mean, f"{m}_sd": s[c].sd}
            row["gain of distillation"] = effect_cell(gain[c])
            record |= {"gain": gain[c].mean, "gain_low95": gain[c].low, "gain_high95": gain[c].high, "n": gain[c].n}
            shown.append(row)
            numbers.append(record)
    if not shown:
        return Skipped(title, "; ".join(dict.fromkeys(reasons)))
    caption = (
        "Classes from most to fewest training examples. The teacher is measured on validation examples at T = 1; test "
        "recall in %; mean ± standard deviation over seeds. Gain: recall after distillation minus that of the one-hot "
        "student of the same seed, in percentage points, with its 95 % jackknife interval."
    )
    return Table("classes", title, caption, table_of(shown), pd.DataFrame(numbers))


# ---- figures ---------------------------------------------------------------------------------------------------------


def bars_figure(view, width=COLUMN):
    """Gain on the one-hot student by frequency and by its accuracy."""
    section = "Gain of distillation by class"
    why = view.missing(ONE_HOT, PLAIN)
    if why:
        return Skipped(section, view.title(why))
    panels = [(by, *bins(view, by)) for by in ("frequency", "accuracy")]
    panels = [p for p in panels if p[1]]
    if not panels:
        return Skipped(section, view.title("; ".join(_why_no_bins(view, by) for by in ("frequency", "accuracy"))))
    methods = [m for m in TAUGHT if m in view.chosen]
    one = view.m <= EACH_CLASS
    wide = width > 5
    fig = new_figure((2.35 if wide else 2.0 * len(panels)) + 0.35, width)
    shape = (1, len(panels)) if wide else (len(panels), 1)
    axes = fig.subplots(*shape, squeeze=False, sharey=True).ravel()
    counts = []
    for ax, (by, names, _) in zip(axes, panels):
        x, bar = np.arange(len(names)), 0.82 / len(methods)
        for i, method in enumerate(methods):
            s = bin_gains(view, method, by)
            counts += [v.n for v in s]
            at = x + (i - (len(methods) - 1) / 2) * bar
            look = LOOK[method]
            ax.bar(
                at,
                [100 * v.mean for v in s],
                bar,
                color=look["color"],
                hatch=look["hatch"],
                edgecolor="white",
                linewidth=0.3,
            )
            sd = 100 * np.nan_to_num([v.sd for v in s])
            if sd.any():
                ax.errorbar(at, [100 * v.mean for v in s], sd, fmt="none", ecolor=INK, elinewidth=0.6)
        ax.axhline(0, color=INK, lw=0.8)
        ax.set_ylabel("gain (points)")
        ax.grid(axis="x", visible=False)
        _class_ticks(ax, names, one, width / (len(panels) if wide else 1))
        ax.set_xlabel(_order_text(by, one))
    if wide:
        for ax in axes[1:]:
            ax.set_ylabel("")
    handles = [
        Patch(facecolor=LOOK[m]["color"], hatch=LOOK[m]["hatch"], edgecolor="white", linewidth=0.3, label=m)
        for m in methods
    ]
    fig.legend(handles=handles, loc="outside lower center", ncols=3, columnspacing=1.2, handlelength=1.6)
    caption = (
        "Test recall minus that of the one-hot student of the same seed, in percentage points, for "
        f"{'every class' if one else f'tenths of the {view.m} classes'}; mean ± standard deviation over seeds "
        f"({_n_text(counts)}). Accuracy of the one-hot student: recall on validation, mean over seeds."
        + ("" if len(panels) == 2 else f" By frequency: {_why_no_bins(view, 'frequency')}.")
    )
    alt = "Bars of the gain of distillation on the one-hot student"
    return Drawn(view.name("gain_by_class"), section, view.title("Gain on the one-hot student"), caption, fig, alt)


def _order_text(by, one):
    first = "rarest" if by == "frequency" else "hardest without a teacher"
    return f"{'class' if one else 'tenth of the classes'}, {first} first"


def _class_ticks(ax, names, one, width):
    """Names of classes, slanted where they would touch."""
    ax.set_xticks(np.arange(len(names)), names)
    ax.set_xlim(-0.6, len(names) - 0.4)
    if one and sum(map(len, names)) + 2 * len(names) > 15 * width:
        ax.tick_params(axis="x", rotation=35, labelsize=6.5)
        for tick in ax.get_xticklabels():
            tick.set_ha("right")
            tick.set_rotation_mode("anchor")


def margin_figure(view, width=COLUMN):
    """The teacher's margin of a class against the gain of distillation there."""
    section = "Teacher's margin and gain"
    why = view.missing(ONE_HOT, PLAIN)
    if why:
        return Skipped(section, view.title(why))
    panels = [(part, view.teacher("class_margin", part)) for part in ("validation", "train")]
    panels = [(part, t) for part, t in panels if t]
    if not panels:
        return Skipped(section, view.title("the file has no margins of the teacher (class_margin; results schema 2)"))
    wide = width > 5
    fig = new_figure(2.5 if wide else 1.95 * len(panels) + 0.5, width)
    axes = fig.subplots(*((1, len(panels)) if wide else (len(panels), 1)), squeeze=False, sharey=True).ravel()
    gain = class_gains(view)
    y = np.array([100 * s.mean for s in gain])
    y_sd = np.nan_to_num([100 * s.sd for s in gain])
    rank = np.full(view.m, 0.5)
    if not view.balanced:
        log = np.log(np.maximum(view.count, 1))
        rank = (log - log.min()) / np.ptp(log)
    colors = _FREQUENCY(rank)
    for ax, (part, teacher) in zip(axes, panels):
        margins = summarize_columns(teacher, view.m)
        x = np.array([s.mean for s in margins])
        x_sd = np.nan_to_num([s.sd for s in margins])
        few = view.m <= EACH_CLASS
        if few:
            ax.errorbar(x, y, y_sd, x_sd, fmt="none", ecolor="#B8B8B8", elinewidth=0.6, zorder=2)
        ax.scatter(x, y, s=22 if few else 11, c=colors, edgecolors=INK, linewidths=0.4, zorder=3)
        ax.axhline(0, color=INK, lw=0.7, zorder=1)
        s = correlation(view, "class_margin", part)
        text = f"ρ = {s.mean:.2f}" + (f" [{s.low:.2f}, {s.high:.2f}]" if s.n > 1 else "") if s.n else "ρ undefined"
        name = "validation" if part == "validation" else "training"
        ax.set_title(f"{name}: {text.replace('-', '−')}", loc="left", fontsize=7.5, fontweight="normal")
        ax.xaxis.set_major_locator(MaxNLocator(4))
        ax.set_xlabel("teacher's margin of the class")
        ax.set_ylabel("gain (points)")
        ax.margins(0.08)
    if wide:
        for ax in axes[1:]:
            ax.set_ylabel("")
    if not view.balanced:
        place = {"location": "right", "aspect": 28} if wide else {"location": "bottom", "aspect": 30}
        scale = fig.colorbar(_frequency_scale(view.count), ax=list(axes), pad=0.02, shrink=0.9, **place)
        scale.set_label("training examples of the class", fontsize=7)
        scale.ax.tick_params(labelsize=6.5)
        scale.outline.set_visible(False)
    counts = [s.n for s in gain]
    caption = (
        "Each point is a class: mean margin p_y - (1 - p_y) / (m - 1) of the teacher over the examples of the class at "
        "T = 1, against test recall after distillation minus that of the one-hot student; means "
        + ("± standard deviation " if view.m <= EACH_CLASS and max(counts, default=0) > 1 else "")
        + f"over seeds ({_n_text(counts)}). ρ: Spearman's correlation over classes, mean over seeds with its 95 % "
        "jackknife interval."
    )
    title = view.title("Teacher's margin of a class and the gain of distillation there")
    alt = "Scatter of the teacher's margin of each class against the gain of distillation"
    return Drawn(view.name("margin_and_gain"), section, title, caption, fig, alt)


def classes_figure(view, width=COLUMN):
    """Recall by class for the four methods."""
    section = "Accuracy by class of the methods"
    methods = [m for m in METHODS if m in view.chosen]
    if len(methods) < 2:
        return Skipped(section, view.title(view.missing(*METHODS)))
    names, of = bins(view, "accuracy" if view.balanced else "frequency")
    by = "accuracy" if view.balanced else "frequency"
    if not names:
        return Skipped(section, view.title(_why_no_bins(view, by)))
    one = view.m <= EACH_CLASS
    fig = new_figure(2.75, width)
    ax = fig.subplots()
    x, counts = np.arange(len(names)), []
    for i, method in enumerate(methods):
        per_bin = {s: np.array([np.nanmean(r[b]) for b in of]) for s, r in view.recalls(method).items()}
        s = summarize_columns(per_bin, len(of))
        counts += [v.n for v in s]
        mean = [100 * v.mean for v in s]
        look = {k: v for k, v in LOOK[method].items() if k != "hatch"}
        shift = (i - (len(methods) - 1) / 2) * 0.11
        ax.errorbar(
            x + shift,
            mean,
            _bars(mean, [100 * v.sd for v in s]),
            elinewidth=0.7,
            lw=1.1,
            ms=3.8,
            mec="white",
            mew=0.3,
            **look,
        )
    _class_ticks(ax, names, one, width)
    ax.set_xlabel(_order_text(by, one))
    ax.set_ylabel("test recall (%)")
    _percent_axis(ax.yaxis)
    handles = [
        Line2D([], [], label=m, mec="white", mew=0.3, ms=4.5, **{k: v for k, v in LOOK[m].items() if k != "hatch"})
        for m in methods
    ]
    fig.legend(
        handles=handles, loc="outside lower center", ncols=2 if width < 5 else 4, columnspacing=1.4, handlelength=2.6
    )
    caption = (
        f"Test recall in % of {'every class' if one else f'tenths of the {view.m} classes (mean over the classes)'}; "
        f"mean ± standard deviation over seeds, bars end at 0 and 100; {_n_text(counts)}."
        + (
            ""
            if by == "frequency"
            else " The order is by recall of the one-hot student on validation, mean over seeds."
        )
    )
    title = view.title("Accuracy by class of the four methods" if len(methods) == 4 else section)
    return Drawn(view.name("accuracy_by_class"), section, title, caption, fig, "Accuracy by class for each method")


def _frequency_map():
    from matplotlib.colors import LinearSegmentedColormap

    # from light (rare) to dark (frequent): ordered by lightness
    return LinearSegmentedColormap.from_list("frequency", ["#F7E7A8", "#8CC2A0", "#2F7CA8", "#12294F"])


_FREQUENCY = _frequency_map()


def _frequency_scale(count):
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm

    return ScalarMappable(LogNorm(max(1, count.min()), count.max()), _FREQUENCY)


# ---- claims ----------------------------------------------------------------------------------------------------------

TAIL = class_sets.CLASS_PARTS.index("tail")
KEEPS = 0.005  # "keeps the gain" is read as: at most so much below distillation


def claims(view) -> list:
    out = []
    for key, paper, needs, judge in _statements(view):
        says, why = view.statement(key, key.split()[0], paper), view.missing(*needs)
        out.append(says.absent(why) if why else judge(view, says, *needs[:2]))
    return out


def _statements(view):
    """[(key, what the paper found, methods that it takes, function that judges it)]"""
    both = PLAIN, ONE_HOT
    out = [
        ("1.1 average", "Distillation raises the average accuracy of the student.", both, _average),
        (
            "1.1 rare",
            "Distillation can lower the accuracy on rare classes relative to the one-hot student.",
            both,
            _rare,
        ),
        (
            "1.1 hardest",
            "Distillation can lower the accuracy on subgroups: here the classes that are hardest without a teacher.",
            both,
            _hardest,
        ),
        ("1.1 inherited", "The student inherits the teacher's mistakes.", both, _inherited),
        (
            "1.1 amplified",
            "The teacher's mistakes are amplified by the student.",
            both,
            _amplified,
        ),
    ]
    for method in (ADA_ALPHA, ADA_MARGIN):
        kept = f"{method} keeps the gain of distillation in average accuracy."
        better = f"{method} improves the accuracy on subgroups over distillation."
        out.append((f"1.1 {method}: average", kept, (method, PLAIN, ONE_HOT), _kept))
        if view.balanced:
            out.append((f"1.1 {method}: hardest", better, (method, PLAIN, ONE_HOT), _subgroup))
        else:
            out.append((f"1.1 {method}: rare", better, (method, PLAIN), _subgroup))
    margin = "The teacher's margin on a class correlates with whether distillation beats one-hot labels there."
    return [*out, ("1.3 margin", margin, both, _margin)]


def _difference(view, a, b, values):
    """Summary of a - b of `values(view, method)`: seed -> number."""
    return jackknife(lambda without: within_seeds(*(values(view.without(without), m) for m in (a, b))))


def _compare(view, says, a, b, values, what, of, claimed=">", bound=0.0):
    """About a - b of `values(view, method)`. `what` they are, in words, and `of` shorter."""
    left, right = values(view, a), values(view, b)
    if not left or not right:
        return says.absent("No class is harder than the others without a teacher.")
    d = _difference(view, a, b, values)
    if d.n == 0:
        return says.absent(f"{a} and {b} have no seed in common.")
    common = [s for s in left if s in right]
    means = [100 * np.mean([v[s] for s in common]) for v in (left, right)]
    found = f"{what}: {means[0]:.1f} % with {_word(a)}, {means[1]:.1f} % with {_word(b)}; {effect_text(d)}."
    side = f"{'above' if claimed == '>' else 'below'} {f'{100 * bound:g} points'.replace('-', '−') if bound else '0'}"
    return says.judged(found, d, measure=f"{of}, {a} - {b}; the paper: {side}", claimed=claimed, bound=bound)


def _word(method):
    return {ONE_HOT: "the one-hot student", PLAIN: "distillation"}.get(method, method)


def _averages(view, method):
    return view.values(method, "average")


def _average(view, says, a, b):
    return _compare(view, says, a, b, _averages, "Average test accuracy", "average accuracy")


def _kept(view, says, method, distillation):
    gain = _difference(view, distillation, ONE_HOT, _averages)
    if gain.n and not gain.mean > 0:
        return says.absent(
            f"Distillation has no gain in average accuracy here that could be kept: {effect_text(gain)}."
        )
    return _compare(
        view, says, method, distillation, _averages, "Average test accuracy", "average accuracy", bound=-KEEPS
    )


def _rare(view, says, a, b):
    if view.balanced:
        return says.absent("All classes have as many training examples: none is rare.")
    what = f"Mean test recall of the tail ({_rarest(view)})"
    return _compare(view, says, a, b, _tail_values, what, "recall of the tail", "<")


def _tail_values(view, method):
    return view.part_values(method, TAIL)


def _hardest_values(view, method):
    return view.hardest_values(method)


def _rarest(view):
    n = int((view.parts() == TAIL).sum())
    return "the rarest class" if n == 1 else f"the {n} rarest classes"


def _hardest(view, says, a, b):
    what = (
        "Mean test recall of the third of the classes at which one-hot students of other seeds are worst on validation"
    )
    return _compare(view, says, a, b, _hardest_values, what, "recall of the hardest third", "<")


def _subgroup(view, says, a, b):
    """The rarest classes, or where none is rare the hardest."""
    if view.balanced:
        which, values = "the third of the classes that is hardest without a teacher", _hardest_values
    else:
        which, values = _rarest(view), _tail_values
    return _compare(view, says, a, b, values, f"Mean test recall of {which}", f"recall of {which}")


def _inherited(view, says, distilled, one_hot):
    counts = copied_errors(view, distilled)
    if counts is None:
        return says.absent("No predictions were stored (store.predictions).")
    counts = {s: c for s, c in counts.items() if c[2] > 0}
    if not counts:
        return says.absent("No seed has a teacher, both students, and an error of the teacher.")

    def effects(without=None):
        found = counts if without is None else copied_errors(view.without(without), distilled)
        return {seed: (a - b) / e for seed, (a, b, e) in found.items() if e > 0}

    s = jackknife(effects)
    a, b, e = np.sum(list(counts.values()), axis=0)
    found = (
        f"Of {e:.0f} test errors of the teachers (all seeds) distilled students give {a:.0f} the same wrong class, "
        f"one-hot students {b:.0f}: {100 * a / e:.1f} % against {100 * b / e:.1f} %; {effect_text(s)}."
    )
    measure = (
        "share of the teacher's errors that the student repeats (same wrong class), distilled - one-hot student; the "
        "paper: above 0"
    )
    return says.judged(found, s, measure=measure)


def _errors_of_weak_classes(view, split):
    """{"teacher", PLAIN, ONE_HOT: seed -> error over the third of the classes at which the teacher errs most on
    validation}, of the seeds that have all three"""
    found = {"teacher": _teacher_recalls(view, split)} | {m: view.recalls(m, split) for m in (PLAIN, ONE_HOT)}
    out = {who: {} for who in found}
    for seed, judged in _teacher_recalls(view).items():
        if not all(seed in of for of in found.values()) or np.isfinite(judged).sum() < 3:
            continue
        mask = class_sets.deciles_by_accuracy(judged, 3) == 0
        if mask.any() and not mask.all():
            for who, of in found.items():
                out[who][seed] = 1 - float(np.nanmean(of[seed][mask]))
    return out


def _worse_without_distillation(view):
    """Who errs more on these classes on validation, the teacher or the one-hot student."""
    errors = _errors_of_weak_classes(view, "validation")
    return max(("teacher", ONE_HOT), key=lambda who: summarize(errors[who]).mean)


def _amplified(view, says, distilled, one_hot):
    if view.m < 3:
        return says.absent("A third of the classes takes at least three.")
    errors = _errors_of_weak_classes(view, "test")
    if not errors[distilled]:
        return says.absent("No teacher of these students is finished, or it is as good at all classes.")

    def effects(without=None):
        v = view.without(without)
        errors = _errors_of_weak_classes(v, "test")
        return within_seeds(errors[distilled], errors[_worse_without_distillation(v)])

    s = jackknife(effects)
    mean = {who: f"{100 * summarize(of).mean:.1f} %" for who, of in errors.items()}
    found = (
        f"On the third of the classes at which the teacher errs most on validation, the teacher errs on {mean['teacher']} "
        f"of the test examples, the one-hot student on {mean[one_hot]}, the distilled one on {mean[distilled]}; compared "
        f"with the worse of the first two {effect_text(s)}."
    )
    measure = (
        "error of the distilled student on the teacher's worst third of classes - that of the teacher or of the one-hot "
        "student, who errs more on validation; the paper: above 0"
    )
    return says.judged(found, s, measure=measure)


def _teacher_recalls(view, split="validation"):
    """seed -> recall[class] of the teacher"""
    at = view.sweep.ds["class_accuracy"].sel(selection=view.sweep.selection, split=split).values
    return {s: at[rows].astype(np.float64).mean(axis=0) for s, rows in view.teacher_trials().items()}


def _margin(view, says, distilled, one_hot):
    if view.m < 3:
        return says.absent("A correlation over classes takes at least three.")
    s = correlation(view, "class_margin", "validation")
    if s.n == 0:
        return says.absent("The file has no margins of the teacher, or they do not vary.")
    train = correlation(view, "class_margin", "train")
    found = (
        f"Correlation over {view.m} classes of the teacher's margin on validation with the gain: {effect_text(s, '')}"
    )
    found += f"; with its margin on training examples: {effect_text(train, '')}." if train.n else "."
    return says.judged(found, s, measure="Spearman's correlation, mean over seeds; the paper: above 0", unit="")


# ---- notes -----------------------------------------------------------------------------------------------------------


def notes(views):
    out = [
        (
            "Choice",
            "Temperatures and the like are chosen for each seed by the average accuracy on validation of the other "
            "seeds; the same rule for all four methods. The paper's own rule is not known.",
        ),
        (
            "Teacher's mistakes",
            "Counted on test: examples that the teacher gets wrong and a student gives the same wrong class, less "
            "those for which the one-hot student of the same seed does so, over the errors of the teacher. Hard and "
            "mislabelled examples fool every model alike; the subtraction takes them out.",
        ),
        (
            "Words of the claims",
            f"A gain is kept where a method is at most {100 * KEEPS:g} points below distillation; where distillation gains "
            "nothing there is nothing to keep. Mistakes are amplified where the distilled student errs more often, on "
            "the classes at which its teacher errs most, than both its teacher and the one-hot student: a smaller "
            f"network errs more than its teacher anyway. Classes are rare where the largest has {class_sets.BALANCED:g} times the "
            "training examples of the smallest or more.",
        ),
        (
            "One data set, small students",
            "The paper's statements are about what CAN happen to subgroups. A 'disagrees' here says that it does not "
            "happen with these data, networks and schedules; it does not refute the paper.",
        ),
    ]
    if len(views) > MAX_SCENARIOS:
        out.append(
            ("Figures", f"Figures are drawn for the first {MAX_SCENARIOS} of {len(views)} scenarios; tables hold all.")
        )
    return out
