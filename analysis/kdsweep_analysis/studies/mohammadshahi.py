"""Mohammadshahi and Ioannou: What's Left After Distillation? How Knowledge Transfer Impacts Fairness and Bias, TMLR
2025 (methods.md 3): class bias, group and individual fairness of distilled students against the temperature.

Models: the teacher, DS (distilled student: standard student of a standard teacher) at every temperature T, and NDS (the
same student without a teacher). #SC is the number of classes whose accuracy relative to the overall accuracy differs
between NDS and DS (Welch's test over seeds, two-sided, p < 0.05), #TC the same between teacher and DS.

A series is one task and one pair of networks. Everything else that varies (learning rate, mixing ...) has one value for
all temperatures of a series, that with the best average accuracy on validation over all of them, so that nothing but T
changes along it.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, NullLocator
from scipy import stats as _stats

from .. import metrics
from ..agreement import disagreement_matrix
from ..figures import _CMAP, MAX_SCENARIOS, _bare, _bars, _heat, _ink, _n_text
from ..significance import CORRECTIONS, class_bias, normalised_class_accuracy, welch
from ..stats import Summary, paired_difference, summarize
from ..sweep import format_value, short_name
from . import reference
from .common import (
    COLUMN,
    PAGE,
    Drawn,
    Findings,
    Skipped,
    Table,
    cell,
    effect_text,
    jackknife,
    new_figure,
    table_of,
    within_seeds,
)
from .per_seed import over_seeds, read_at, recalls, related, related_rows
from .scope import Scope

TITLE = "Temperature, class bias and fairness: the study repeated"
PAPER = (
    "After Mohammadshahi and Ioannou: What's Left After Distillation? How Knowledge Transfer Impacts Fairness and "
    "Bias, TMLR 03/2025 (arXiv:2410.08407)."
)
CHOICE = (
    "What varies beside the temperature is chosen on validation from all seeds, once for all temperatures of a pair of "
    "networks; where a claim compares the best temperature, it is chosen on validation from the other seeds."
)
SELECTION = "last"

ALPHA = 0.05  # of the class-bias test; the paper's is not visible
NORMALISATIONS = ("ratio", "difference")
NORMALISE, CORRECTION = "ratio", "none"  # what the shown #SC, #TC and the claims take
TURN = 10.0  # up to this temperature the paper sees rising or improving, beyond it falling or worsening
N_RESAMPLES = 1000
PAIR = ("teacher_model",)  # series are separate in these, where the file counts them as tuned

DS_COLOR, NDS_COLOR, TEACHER_COLOR = "#0072B2", "#6E6E6E", "#332288"
SC_LOOK = {"color": "#0072B2", "marker": "o", "linestyle": "-"}
TC_LOOK = {"color": "#D55E00", "marker": "s", "linestyle": (0, (5, 1.5))}
NDS_LINE = {"color": NDS_COLOR, "linestyle": (0, (1.5, 1.5)), "linewidth": 1.3}
TEACHER_LINE = {"color": TEACHER_COLOR, "linestyle": (0, (6, 2)), "linewidth": 1.1}

GROUP_MEASURES = {"EOD": metrics.equalized_odds_difference, "DPD": metrics.demographic_parity_difference}
FAIRNESS = (*GROUP_MEASURES, "individual")
WORDS = {"EOD": "EOD", "DPD": "DPD", "individual": "individual fairness", "accuracy": "accuracy"}


def build(sweep) -> Findings:
    out = Findings()
    series, reasons = find_series(sweep)
    if not series:
        why = "; ".join(dict.fromkeys(reasons)) or "no trial is finished yet"
        out.tables.append(Skipped("All tables", why))
        out.figures.append(Skipped("All figures", why))
        return out
    out.tables += [class_bias_table(series), fairness_table(series), individual_table(series)]
    for s in series[:MAX_SCENARIOS]:
        out.figures += [class_bias_figure(s), fairness_figure(s), disagreement_figure(s)]
    out.figures += strength_figures(sweep, series)
    for s in series:
        out.claims += claims(s)
    out.notes = notes(series)
    return out


# ---- series ----------------------------------------------------------------------------------------------------------


class Series(Scope):
    """A pair of networks on one task: the students at each temperature, and who belongs to them."""

    def __init__(self, sweep, scenario, pair, students, settings):
        super().__init__(sweep, scenario, pair)
        self.pair, self.settings = pair, settings
        self.students = dict(sorted(students.items()))  # T -> Configuration
        fullest = max(self.students.values(), key=lambda c: c.n)
        self.teacher = related(sweep, fullest, "teacher")
        self.nds = related(sweep, fullest, "baseline")
        self.m = sweep.n_classes
        self._of_classes, self._fairness = {}, {}

    @property
    def temperatures(self):
        return list(self.students)

    @property
    def models(self):
        """(name, Configuration): teacher, NDS and DS by temperature, as rows of the tables."""
        first = [("teacher", self.teacher), ("NDS", self.nds)]
        return [(n, c) for n, c in first if c is not None] + list(self.students.items())

    def strength(self):
        """Strength of the correlation of class and group in training; None where the file does not tell."""
        value = self.pair.get("correlation_strength")
        if value is None:
            value = self.of("correlation_strength")
        try:
            return float(value)
        except (TypeError, ValueError):
            return None

    def networks(self):
        c = next(iter(self.students.values()))
        of = [self.sweep.value(c, n) or self.sweep.key(n) for n in ("teacher_model", "student_model")]
        return " -> ".join(str(v).strip('"') for v in of) if all(of) else ""

    # -- values: seed -> number, on test unless said --

    def accuracy(self, c, split="test"):
        return c.seeds("average", split)

    def class_values(self, c):
        """(recall[seed, class], accuracy[seed], seeds)"""
        if c.order not in self._of_classes:
            r, acc = recalls(self.sweep, c), self.accuracy(c)
            seeds = [s for s in r if s in acc]
            self._of_classes[c.order] = np.array([r[s] for s in seeds]), np.array([acc[s] for s in seeds]), seeds
        return self._of_classes[c.order]

    def fairness(self, c, measure, split="test"):
        """seed -> EOD, DPD or individual fairness; {} where the file has not got what it takes."""
        if (c.order, measure, split) not in self._fairness:
            if measure in GROUP_MEASURES:
                counts = read_at(self.sweep, "group_counts", c.trials, split)
                read = {m: None if counts is None else f(counts) for m, f in GROUP_MEASURES.items()}
            else:
                read = {measure: read_at(self.sweep, "individual_fairness", c.trials, split)}
            for m, values in read.items():
                found = {} if values is None else over_seeds(self.sweep, c.trials, values)
                self._fairness[c.order, m, split] = {k: float(v) for k, v in found.items() if np.isfinite(v)}
        return self._fairness[c.order, measure, split]

    def curve(self, measure):
        """T -> {seed: value} of the distilled students."""
        found = {t: self.fairness(c, measure) for t, c in self.students.items()}
        return {t: v for t, v in found.items() if v}

    def has(self, measure):
        return bool(self.curve(measure))

    def why_not(self, measure):
        if measure == "individual":
            return "individual fairness was not measured (measure.individual.pairs)"
        return "the data have no groups, or counts of groups were not stored (store.group_counts)"


def find_series(sweep):
    """([Series], reasons why there are not more)"""
    out, reasons = [], []
    if not any(c.n for c in sweep.configurations):
        return out, ["no trial is finished yet"]
    for scenario in sweep.scenarios:
        students = sweep.select("student", scenario, "standard", "standard")
        students = [c for c in students if c.n and c.tuned.get("mixing", 1) != 0]
        if not students:
            text = sweep.scenario_text(scenario)
            reasons.append("no finished standard student of a standard teacher" + (f" ({text})" if text else ""))
        pairs = {}
        for c in students:
            t = sweep.value(c, "temperature")
            t = float(sweep.fixed.get("student.temperature", 1.0)) if t is None else float(t)
            pair = tuple((n, c.tuned[n]) for n in PAIR if n in c.tuned)
            rest = tuple(sorted((n, str(v)) for n, v in c.tuned.items() if n not in (*PAIR, "temperature")))
            pairs.setdefault(pair, {}).setdefault(rest, {})[t] = c
        for pair, candidates in pairs.items():
            fullest = max(c.n for students in candidates.values() for c in students.values())

            def merit(students):
                full = [c for c in students.values() if 2 * c.n >= fullest]
                return (len(full), np.mean([c.mean("average", "validation") for c in full or students.values()]))

            chosen = max(candidates.values(), key=merit)
            some = next(iter(chosen.values()))
            settings = (
                {n: v for n, v in some.tuned.items() if n not in (*PAIR, "temperature")} if len(candidates) > 1 else {}
            )
            out.append(Series(sweep, scenario, dict(pair), chosen, settings))
    return out, reasons


def settings_text(series):
    texts = []
    for s in series:
        shown = ", ".join(f"{short_name(k)} = {format_value(v)}" for k, v in s.settings.items() if v not in ("", None))
        if shown:
            texts.append(f"{s.text}: {shown}" if s.text and len(series) > 1 else shown)
    return f" At all temperatures {'; '.join(texts)} (best average accuracy on validation)." if texts else ""


# ---- class bias ------------------------------------------------------------------------------------------------------


def bias(series, model, student, normalise=NORMALISE, correction=CORRECTION):
    """ClassBias of a distilled student against NDS or teacher; None with fewer than two seeds on a side."""
    if model is None:
        return None
    a, b = series.class_values(model), series.class_values(student)
    if len(a[2]) < 2 or len(b[2]) < 2:
        return None
    return class_bias(*a[:2], *b[:2], normalise=normalise, correction=correction, alpha=ALPHA)


def _model_rows(series, tables):
    """Of every model: (Series, Configuration, beginning of a row to show, of one of numbers, the paper's Cells)."""
    for s in series:
        paper = _paper(s, tables)
        for name, c in s.models:
            where = {"task": s.text or s.sweep.name} if len(series) > 1 else {}
            where["model"] = name if isinstance(name, str) else "DS"
            shown = where | {"T": "" if isinstance(name, str) else format_value(name), "n": c.n}
            yield (
                s,
                c,
                shown,
                where | {"temperature": "" if isinstance(name, str) else name, "n": c.n},
                paper.get(name, {}),
            )


def _has_paper(shown):
    return any(column.startswith("paper") for row in shown for column in row)


def class_bias_table(series):
    title = "Accuracy and class bias by temperature"
    shown, numbers = [], []
    for s, c, row, record, paper in _model_rows(series, reference.CLASS_BIAS):
        accuracy = summarize(s.accuracy(c))
        row["accuracy"] = cell(accuracy, 2)
        record |= {"accuracy_mean": accuracy.mean, "accuracy_sd": accuracy.sd}
        if c.role == "student":
            for word, other in (("SC", s.nds), ("TC", s.teacher)):
                _add_bias(row, record, word, s, other, c)
        for word, column in (("accuracy", "accuracy"), ("SC", "#SC"), ("TC", "#TC")):
            if word in paper:
                row[f"paper: {column}"] = paper[word].text(2 if word == "accuracy" else 0)
                record[f"paper_{word}"] = paper[word].value
        shown.append(row)
        numbers.append(record)
    order = ["task", "model", "T", "n", "accuracy", "#SC", "#TC", "#SC better, worse", "#TC better, worse"]
    order += ["#SC difference", "#TC difference", "#SC corrected", "#TC corrected"]
    order += ["paper: accuracy", "paper: #SC", "paper: #TC"]
    caption = (
        "Test accuracy in %, mean ± standard deviation over n seeds (ddof 1). #SC: classes with a significant "
        "difference between NDS and DS (Welch's t-test over seeds of class accuracy / accuracy, two-sided, p < "
        f"{ALPHA:g}, not corrected), #TC: between teacher and DS; of {series[0].m} classes about "
        f"{ALPHA * series[0].m:.2g} at most are significant by chance alone (models of a seed share their start, which "
        "makes the test conservative). Better, worse: relatively better or worse with "
        "DS. Difference: the test of class accuracy − accuracy. Corrected: of the ratio, false discovery rate by "
        "Benjamini and Hochberg; Bonferroni and Holm are in the CSV." + settings_text(series)
    )
    if _has_paper(shown):
        caption += (
            ' Paper: its table 1 (five seeds; "about" is read off its figure 8), the same data and networks; its '
            "optimiser and epochs are not known."
        )
    return Table("class_bias", title, caption, table_of(shown, order), pd.DataFrame(numbers))


def _add_bias(row, record, word, s, other, c):
    """#SC or #TC of a distilled student, with both normalisations and all corrections."""
    found = {}
    for normalise in NORMALISATIONS:
        for correction in CORRECTIONS if normalise == NORMALISE else (CORRECTION,):
            found[normalise, correction] = b = bias(s, other, c, normalise, correction)
            record[f"{word}_{normalise}_{correction}"] = np.nan if b is None else b.n_significant
    b = found[NORMALISE, CORRECTION]
    if b is None:
        row[f"#{word}"] = "–"
        return
    row[f"#{word}"] = str(b.n_significant)
    row[f"#{word} better, worse"] = f"{b.n_better}, {b.n_worse}"
    row[f"#{word} difference"] = str(found["difference", CORRECTION].n_significant)
    row[f"#{word} corrected"] = str(found[NORMALISE, "fdr_bh"].n_significant)
    record |= {f"{word}_better": b.n_better, f"{word}_worse": b.n_worse}


def _paper(s, tables):
    """Numbers of the paper for a series, {} unless data set and networks are the same."""
    source = s.of("data_source")
    if s.of("imbalance_ratio") not in ("", "1") or (s.strength() or 0) != 0:
        return {}
    if source == "cifar100" and s.of("cifar_labels") not in ("", "fine"):
        return {}
    if source == "trifeature" and s.of("trifeature_groups") not in ("", "colour"):
        return {}
    return tables.get((source, s.networks()), {})


# ---- tables of fairness ----------------------------------------------------------------------------------------------


def _measured(series, columns, digits, scale):
    """Rows to show and rows of numbers; columns: measure -> name."""
    shown, numbers = [], []
    for s, c, row, record, paper in _model_rows(series, reference.FAIRNESS):
        for measure, column in columns.items():
            found = summarize(s.accuracy(c) if measure == "accuracy" else s.fairness(c, measure))
            row[column] = cell(found, digits, scale)
            record |= {f"{measure}_mean": found.mean, f"{measure}_sd": found.sd}
            if measure in paper:
                row[f"paper: {column}"] = paper[measure].text(digits)
                record[f"paper_{measure}"] = paper[measure].value / scale
        shown.append(row)
        numbers.append(record)
    return shown, numbers


def fairness_table(series):
    title = "Accuracy, equalised odds and demographic parity by temperature"
    having = [s for s in series if s.has("DPD")]
    if not having:
        return Skipped(title, series[0].why_not("DPD"))
    shown, numbers = _measured(having, {"accuracy": "accuracy", "EOD": "EOD", "DPD": "DPD"}, 2, 100.0)
    n_groups = having[0].sweep.ds.sizes.get("group", 0)
    caption = (
        "On test, in %, mean ± standard deviation over n seeds (ddof 1); 0 is fair. EOD: larger of the gaps in true- "
        f"and false-positive rate over the {n_groups} groups; DPD: gap in the rate of being predicted; both of every "
        "class against the rest, mean over the classes (methods 3.4)." + settings_text(having)
    )
    if _has_paper(shown):
        caption += _paper_caption(having[0], "table 2")
    return Table("group_fairness", title, caption, table_of(shown), pd.DataFrame(numbers))


def _paper_caption(s, table):
    size, train = (s.sweep.key(f"trifeature_{k}", f"data.trifeature.{k}") for k in ("size", "train"))
    here = f" (here images of {size} pixels a side, {train} of each combination in training)" if size and train else ""
    return (
        f" Paper: its {table}, Trifeature at 224 pixels a side, groups by colour, ResNet-20 and LeNet-5, five seeds; "
        f"which subset it trains on is not known{here}."
    )


def individual_table(series):
    title = "Individual fairness by temperature"
    having = [s for s in series if s.has("individual")]
    if not having:
        return Skipped(title, series[0].why_not("individual"))
    shown, numbers = _measured(having, {"individual": "individual fairness"}, 4, 1.0)
    keys = ("pairs", "count", "norm", "distance")
    how = {k: having[0].sweep.key(f"individual_{k}", f"measure.individual.{k}") for k in keys}
    choice = ", ".join(f"{k} {v}" for k, v in how.items() if v)
    caption = (
        "Mean over pairs of test examples of |q(x) − q(x')| / d(x, x'), q the softmax at T = 1; lower is fairer; mean "
        "± standard deviation over n seeds (ddof 1)."
        + (f" Chosen here: {choice}." if choice else "")
        + settings_text(having)
    )
    if _has_paper(shown):
        caption += _paper_caption(having[0], "table 4") + (
            " The paper's norm, distance and pairs are not visible, so the values themselves cannot be compared, only "
            "the trend."
        )
    return Table("individual_fairness", title, caption, table_of(shown), pd.DataFrame(numbers))


# ---- figures ---------------------------------------------------------------------------------------------------------


def _temperature_axis(ax, temperatures, width=COLUMN):
    """Logarithmic where T = 1 .. 10 stand beside 20 to 40; labelled as densely as there is room."""
    low, high = min(temperatures), max(temperatures)
    log = low > 0 and high / low > 3 and (high > 1.5 * TURN or len(temperatures) < 6)
    if log:
        ax.set_xscale("log")
        position = np.log([t for t in temperatures])
    else:
        position = np.array(temperatures, dtype=float)
    span = np.ptp(position) or 1.0
    digit = 0.033 * COLUMN / width  # share of the axis that a digit takes
    kept = [len(temperatures) - 1] if temperatures else []
    for i in reversed(range(len(temperatures) - 1)):  # from the right, where a logarithmic axis is crowded
        needed = digit * (1 + (len(f"{temperatures[i]:g}") + len(f"{temperatures[kept[-1]]:g}")) / 2)
        if (position[kept[-1]] - position[i]) / span >= needed:
            kept.append(i)
    ax.xaxis.set_major_locator(FixedLocator([temperatures[i] for i in kept]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    ax.margins(x=0.04)
    return log


def class_bias_figure(s, width=COLUMN):
    """#SC and #TC against T."""
    section = "Class bias against temperature"
    temperatures, lines = s.temperatures, []
    for word, other, look in (("#SC (NDS vs DS)", s.nds, SC_LOOK), ("#TC (teacher vs DS)", s.teacher, TC_LOOK)):
        found = {t: bias(s, other, c) for t, c in s.students.items()}
        found = {t: b for t, b in found.items() if b is not None}
        if found:
            lines.append((word, look, found))
    if not lines:
        why = (
            "a test over seeds takes at least two seeds"
            if s.nds or s.teacher
            else "no baseline, and no teacher, is finished"
        )
        return Skipped(section, s.title(why))
    if len(temperatures) < 2:
        return Skipped(section, s.title("one temperature only"))
    fig = new_figure(2.3, width)
    ax = fig.subplots()
    for word, look, found in lines:
        ax.plot(
            list(found),
            [b.n_significant for b in found.values()],
            label=word,
            mec="white",
            mew=0.4,
            lw=1.2,
            clip_on=False,
            **look,
        )
    ax.axhline(ALPHA * s.m, color="#B0B0B0", lw=0.8, ls=(0, (1, 2)), zorder=1, label="by chance, at most")
    ax.set_xlabel("temperature T")
    ax.set_ylabel(f"significant classes (of {s.m})")
    ax.set_ylim(0, max(1.0, ax.get_ylim()[1]))
    ax.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    log = _temperature_axis(ax, temperatures, width)
    fig.legend(loc="outside lower center", ncols=2 if width < 5 else 3, columnspacing=1.4, handlelength=2.4)
    n = sorted({(b.n_a, b.n_b) for _, _, found in lines for b in found.values()})
    seeds = f"{n[0][0]} and {n[0][1]} seeds" if len(n) == 1 else f"{min(map(min, n))} to {max(map(max, n))} seeds"
    caption = (
        f"Number of the {s.m} classes whose accuracy relative to the overall accuracy differs between the student "
        "without a teacher (NDS) and the distilled student (DS), #SC, and between teacher and DS, #TC: Welch's t-test "
        f"over seeds ({seeds}), two-sided, p < {ALPHA:g}, not corrected. Dotted: what chance alone would give at "
        f"most, {ALPHA * s.m:.2g}. Test set." + (" The axis of T is logarithmic." if log else "") + settings_text([s])
    )
    title = s.title("#SC and #TC against temperature")
    return Drawn(
        s.name("class_bias"), section, title, caption, fig, "Numbers of significant classes against temperature"
    )


def fairness_figure(s, width=COLUMN):
    """EOD, DPD and individual fairness against T, with teacher and NDS."""
    section = "Fairness against temperature"
    measures = [w for w in FAIRNESS if s.has(w)]
    if not measures:
        return Skipped(section, s.title("; ".join(dict.fromkeys(s.why_not(w) for w in FAIRNESS))))
    if len(s.temperatures) < 2:
        return Skipped(section, s.title("one temperature only"))
    wide = width > 5
    k = len(measures)
    fig = new_figure(2.35 if wide else 0.5 + 1.45 * k, width)
    axes = fig.subplots(1 if wide else k, k if wide else 1, squeeze=False, sharex=not wide).ravel()
    counts, log, handles = [], False, {}
    for ax, measure in zip(axes, measures):
        scale = 1.0 if measure == "individual" else 100.0
        curve = s.curve(measure)
        for word, c, line in (("teacher", s.teacher, TEACHER_LINE), ("student without a teacher", s.nds, NDS_LINE)):
            if c is None:
                continue
            v = summarize(s.fairness(c, measure))
            if v.n == 0:
                continue
            counts.append(v.n)
            handles[word] = ax.axhline(scale * v.mean, zorder=1, **line)
            if v.n > 1:
                low, high = scale * max(0.0, v.mean - v.sd), scale * (v.mean + v.sd)
                ax.axhspan(low, high, color=line["color"], alpha=0.12, lw=0, zorder=0)
        points = {t: summarize(v) for t, v in curve.items()}
        mean = np.array([scale * v.mean for v in points.values()])
        sd = np.nan_to_num([scale * v.sd for v in points.values()])
        counts += [v.n for v in points.values()]
        look = {"color": DS_COLOR, "marker": "o", "mec": "white", "mew": 0.4, "lw": 1.2, "ms": 4, "zorder": 3}
        (handles["distilled student"],) = ax.plot(list(points), mean, **look)
        ax.fill_between(list(points), np.maximum(0, mean - sd), mean + sd, color=DS_COLOR, alpha=0.2, lw=0, zorder=2)
        ax.set_ylabel({"EOD": "EOD (%)", "DPD": "DPD (%)", "individual": "individual\nfairness (ratio)"}[measure])
        ax.yaxis.set_major_locator(MaxNLocator(5))
        log = _temperature_axis(ax, s.temperatures, width / k if wide else width)
        if wide or ax is axes[-1]:
            ax.set_xlabel("temperature T")
    fig.align_ylabels(list(axes))
    order = [w for w in ("distilled student", "student without a teacher", "teacher") if w in handles]
    fig.legend(
        [handles[w] for w in order],
        order,
        loc="outside lower center",
        ncols=3 if wide else 2,
        columnspacing=1.2,
        handlelength=2.2,
    )
    n_groups = s.sweep.ds.sizes.get("group", 0)
    what = {
        "EOD": "equalised-odds difference (EOD)",
        "DPD": "demographic-parity difference (DPD)",
        "individual": "individual fairness, mean |q(x) − q(x')| / d(x, x') over pairs",
    }
    caption = (
        f"{'; '.join(what[w] for w in measures)} on test against the temperature of distillation"
        + (
            f"; EOD and DPD over {n_groups} groups, every class against the rest, mean over classes"
            if "DPD" in measures
            else ""
        )
        + f". Lower is fairer. Lines: means over seeds, bands: ± standard deviation, cut at 0; {_n_text(counts)}."
        + (" The axis of T is logarithmic." if log else "")
        + settings_text([s])
    )
    caption = caption[:1].upper() + caption[1:]
    return Drawn(s.name("fairness"), section, s.title(section), caption, fig, "Fairness measures against temperature")


def _matrix_temperature(s):
    """The paper shows T = 7 and 9: the largest temperature of the sweep up to TURN, else the smallest there is."""
    low = [t for t in s.temperatures if t <= TURN]
    return max(low) if low else s.temperatures[0]


def disagreements(s, temperature):
    """{"NDS": counts[teacher, student], "DS": ..., "n": seeds} summed over the seeds that have all three; None where
    predictions were not stored or a model is missing."""
    student = s.students[temperature]
    teachers = related_rows(s.sweep, student.trials, "teacher")
    baselines = related_rows(s.sweep, student.trials, "baseline")
    rows = [(t, b, d) for t, b, d in zip(teachers, baselines, student.trials) if t >= 0 and b >= 0]
    if not rows:
        return None
    teacher, nds, ds = (read_at(s.sweep, "prediction", list(column)) for column in zip(*rows))
    if teacher is None or nds is None or ds is None:
        return None
    return {
        "NDS": disagreement_matrix(teacher, nds, s.m).sum(axis=0),
        "DS": disagreement_matrix(teacher, ds, s.m).sum(axis=0),
        "n": len(rows),
    }


def disagreement_figure(s, width=PAGE):
    section = "Disagreement with the teacher"
    t = _matrix_temperature(s)
    if s.nds is None or s.teacher is None:
        return Skipped(section, s.title("no finished " + ("baseline" if s.nds is None else "teacher")))
    found = disagreements(s, t)
    if found is None:
        return Skipped(
            section, s.title("no predictions are stored (store.predictions), or no seed has all three models")
        )
    stacked = width < 5
    side = min(width if stacked else width / 2, 3.5)
    fig = new_figure(2 * side * 0.97 if stacked else side * 0.95, width)
    axes = fig.subplots(*((2, 1) if stacked else (1, 2))).ravel()
    both = np.stack([found["NDS"], found["DS"]]).astype(np.float64)
    off = ~np.eye(s.m, dtype=bool)
    low, high = both[:, off].min(), both[:, off].max()
    limits = np.array([low, high if high > low else low + 1])
    numbers = s.m <= 12
    names = [n if len(n) <= 11 else n[:10] + "…" for n in s.sweep.classes]
    for ax, counts, word in zip(axes, both, ("without a teacher", f"distilled, T = {format_value(t)}")):
        shown = np.where(off, counts, np.nan)
        _heat_between(ax, shown, limits)
        if numbers:
            size = 5.6 if high < 1000 else 4.6
            for i in range(s.m):
                for j in range(s.m):
                    if i != j:
                        look = {"ha": "center", "va": "center", "color": _ink(limits, shown[i, j])}
                        ax.text(j, i, f"{int(shown[i, j])}", fontsize=size, **look)
        total = int(np.nansum(shown))
        ax.set_title(f"{word}: {total} in all", fontsize=7.5, fontweight="normal", loc="left")
        _bare(ax)
        if s.m <= 20:
            ax.set_xticks(range(s.m), names, rotation=45, ha="right", rotation_mode="anchor", fontsize=6)
            ax.set_yticks(range(s.m), names, fontsize=6)
        else:
            ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            ax.yaxis.set_major_locator(MaxNLocator(6, integer=True))
        ax.set_xlabel("predicted by the student")
        if stacked or ax is axes[0]:
            ax.set_ylabel("predicted by the teacher")
        elif s.m <= 20:
            ax.set_yticklabels([])
    if not numbers:
        scale = fig.colorbar(axes[0].images[0], ax=list(axes), pad=0.02, aspect=32, shrink=0.9)
        scale.set_label("test examples, all seeds", fontsize=7)
        scale.outline.set_visible(False)
    n, n_test = found["n"], s.sweep.ds.sizes.get("example", 0)
    caption = (
        "Test examples on which teacher (row) and student (column) predict different classes: the student without a "
        f"teacher and the student distilled at T = {format_value(t)}. Counts SUMMED over {n} "
        f"{'seed' if n == 1 else 'seeds'} of {n_test} test examples each; agreement (the diagonal) is left out; both "
        "panels have one scale." + settings_text([s])
    )
    title = s.title("Disagreement of teacher and student")
    return Drawn(s.name("disagreement"), section, title, caption, fig, "Matrices of disagreement with the teacher")


def _heat_between(ax, values, limits):
    """A heat map as the others, on a given scale; without lines between cells that are hardly wider than a line."""
    if len(values) <= 20:
        _heat(ax, values)
    else:
        ax.imshow(np.ma.masked_invalid(values), cmap=_CMAP, aspect="auto", interpolation="nearest")
    ax.images[0].set_clim(*limits)


def strength_figures(sweep, series):
    """Accuracy, DPD and EOD against the strength of the correlation of class and group."""
    section = "Fairness against the strength of bias"
    families = {}
    for s in series:
        if s.strength() is not None:
            other = tuple(v for c, v in zip(sweep.scenario_columns, s.scenario) if c != "correlation_strength")
            pair = tuple((k, v) for k, v in s.pair.items() if k != "correlation_strength")
            families.setdefault((other, pair), []).append(s)
    families = [sorted(f, key=lambda s: s.strength()) for f in families.values()]
    families = [f for f in families if len({s.strength() for s in f}) > 1]
    if not families:
        return [Skipped(section, "the strength of bias (data.correlation.strength) is not an axis of this sweep")]
    out = []
    for i, family in enumerate(families[:MAX_SCENARIOS]):
        drawn = strength_figure(family)
        if isinstance(drawn, Drawn) and len(families) > 1:
            drawn.name += f"_{i + 1}"
        out.append(drawn)
    return out


_STRENGTH_T = ("#9CCBE8", "#0072B2", "#08304F")  # low, middle and high T, light to dark


def strength_figure(family, width=COLUMN):
    section = "Fairness against the strength of bias"
    common = [t for t in family[0].temperatures if all(t in s.students for s in family) and t <= TURN]
    if not common:
        return Skipped(section, "no temperature is common to all strengths")
    kept = sorted({common[0], common[len(common) // 2], common[-1]})
    measures = [w for w in ("accuracy", "EOD", "DPD") if w == "accuracy" or all(s.has(w) for s in family)]
    wide, k = width > 5, len(measures)
    fig = new_figure(2.45 if wide else 0.7 + 1.4 * k, width)
    axes = fig.subplots(1 if wide else k, k if wide else 1, squeeze=False, sharex=not wide).ravel()
    n_groups = family[0].sweep.ds.sizes.get("group", 0)
    counts = []
    x = [s.strength() or (1 / n_groups if n_groups else 0.0) for s in family]  # 0: as they are, that is, independent
    lines = [("teacher", lambda s: s.teacher, {**TEACHER_LINE, "marker": "*", "ms": 6})]
    lines.append(("student without a teacher", lambda s: s.nds, {**NDS_LINE, "marker": "X", "ms": 4.5}))
    colors = _STRENGTH_T if len(kept) == 3 else _STRENGTH_T[1:] if len(kept) == 2 else _STRENGTH_T[1:2]
    for t, color, marker in zip(kept, colors, ("o", "s", "D")):
        look = {"color": color, "marker": marker, "ms": 4, "linewidth": 1.2}
        lines.append((f"distilled, T = {format_value(t)}", lambda s, t=t: s.students[t], look))
    handles = {}
    for ax, measure in zip(axes, measures):
        for word, of, look in lines:
            values = [
                Summary(np.nan, np.nan, 0, np.nan, np.nan)
                if of(s) is None
                else summarize(s.accuracy(of(s)) if measure == "accuracy" else s.fairness(of(s), measure))
                for s in family
            ]
            if not any(v.n for v in values):
                continue
            counts += [v.n for v in values if v.n]
            mean = [100 * v.mean for v in values]
            handles[word] = ax.errorbar(
                x, mean, _bars(mean, [100 * v.sd for v in values]), elinewidth=0.8, mec="white", mew=0.3, **look
            )
        ax.set_ylabel({"accuracy": "test accuracy (%)", "EOD": "EOD (%)", "DPD": "DPD (%)"}[measure])
        ax.yaxis.set_major_locator(MaxNLocator(5))
        ax.set_xticks(x)
        if wide or ax is axes[-1]:
            ax.set_xlabel("strength of the correlation of class and group")
    fig.align_ylabels(list(axes))
    fig.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3 if wide else 2, columnspacing=1.2)
    caption = (
        "Strength: share of the training examples of a class that are of its own group (0, the data as they are, stands at "
        "one over the number of groups); validation and test are not "
        f"biased. Mean ± standard deviation over seeds, bars end at 0 and 100; {_n_text(counts)}. EOD and DPD: every "
        "class against the rest, mean over classes." + settings_text(family[:1])
    )
    return Drawn("bias_strength", section, section, caption, fig, "Accuracy and fairness against the strength of bias")


# ---- claims ----------------------------------------------------------------------------------------------------------


def claims(s) -> list:
    out = []
    for key, paper, judge, word in _BIAS_STATEMENTS:
        out.append(judge(s, s.statement(f"3.9 {key}", "3.9", paper), word))
    for key, paper, judge, measure in _fairness_statements():
        says, curve = s.statement(f"3.9 {key}", "3.9", paper), _fair_curve(s, measure)
        out.append(judge(s, says, measure, curve) if curve else says.absent(_sentence(s.why_not(measure))))
    return out


def _fairness_statements():
    """[(key, what the paper found, function that judges it, measure)]"""
    out = []
    for measure in FAIRNESS:
        word = WORDS[measure]
        first = word[:1].upper() + word[1:]
        paper = f"{first} improves (falls) with the temperature up to about 10."
        out.append((f"{word}: T up to 10", paper, _improves, measure))
        paper = f"{first} gets worse (rises) again at temperatures of 20 to 40."
        out.append((f"{word}: T of 20 to 40", paper, _worsens, measure))
    for measure in FAIRNESS:
        paper = f"Distilled students have a lower {WORDS[measure]} than the student without a teacher."
        out.append((f"{WORDS[measure]}: DS and NDS", paper, _better_than_nds, measure))
    for measure, where in (("EOD", " (in some cells of HateXplain and CelebA, not on Trifeature)"), ("DPD", "")):
        paper = f"A distilled student can have a lower {measure} than its teacher{where}."
        out.append((f"{measure}: DS and teacher", paper, _beats_teacher, measure))
    return out


def _sentence(text):
    return text[:1].upper() + text[1:] + "."


def _slope(temperatures, values):
    """Least-squares slope on T, of values[..., T]."""
    t = np.asarray(temperatures, dtype=np.float64)
    t = t - t.mean()
    return np.asarray(values, dtype=np.float64) @ t / (t @ t)


def _competing(students):
    """Temperatures with at least half as many seeds as the fullest one."""
    most = max((c.n for c in students.values()), default=0)
    return {t: c for t, c in students.items() if 2 * c.n >= most and c.n >= 1}


def resampled_bias(s, word, temperatures, statistic, n_resamples=N_RESAMPLES, seed=0):
    """Summary of statistic(number of significant classes [..., T]) with an interval from resampling seeds, all models
    of a seed together. (None, why) or (Summary, values at each T).

    The interval is the t-interval with the standard error of the bootstrap, times sqrt(n / (n - 1)). Resampled seeds
    repeat, which makes variances small and counts large: percentiles of the bootstrap can lie beside the effect.
    """
    other = s.nds if word == "SC" else s.teacher
    if other is None:
        return None, "no finished student without a teacher" if word == "SC" else "no finished teacher"
    models = [s.class_values(other)] + [s.class_values(s.students[t]) for t in temperatures]
    seeds = sorted(set.intersection(*(set(m[2]) for m in models)))
    n = len(seeds)
    if word == "TC" and len(models[0][2]) == 1 and max(len(m[2]) for m in models) > 1:
        return None, "all students share one teacher: the test needs several"
    if n == 0:
        return None, "no seed is finished at all of these temperatures"
    x = [
        normalised_class_accuracy(*(v[[found.index(k) for k in seeds]] for v in (r, acc)), NORMALISE)
        for r, acc, found in models
    ]
    x = np.stack(x)  # [model, seed, class]
    if n < 2:
        return Summary(np.nan, np.nan, n, np.nan, np.nan), None

    def numbers(rows):
        """Significant classes at each T for resamples rows[resample, seed]: [resample, T]"""
        a = np.moveaxis(x[0][rows], 1, 0)
        with np.errstate(invalid="ignore"):
            return np.stack([(welch(a, np.moveaxis(b[rows], 1, 0)).p < ALPHA).sum(axis=-1) for b in x[1:]], axis=-1)

    observed = numbers(np.arange(n)[None])[0]
    effect = float(statistic(observed))
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, n, (n_resamples, n))
    rows = rows[[len(set(r)) > 1 for r in rows.tolist()]]  # one seed n times over has no spread to test with
    drawn = np.sort(rows, axis=1)
    distinct, back = np.unique(drawn, axis=0, return_inverse=True)
    chunk = max(1, (1 << 22) // (n * s.m))
    parts = [numbers(distinct[i : i + chunk]) for i in range(0, len(distinct), chunk)]
    values = statistic(np.concatenate(parts))[back.ravel()]
    error = float(values.std(ddof=1))
    half = float(_stats.t.ppf(0.975, n - 1)) * error * math.sqrt(n / (n - 1))
    return Summary(effect, error * math.sqrt(n), n, effect - half, effect + half), observed


_OTHER = {"SC": "the student without a teacher", "TC": "the teacher"}
_ONE_SEED = "One seed: a test over seeds takes two."
_NO_SEED = "No seed is finished at all of these temperatures."


def _bias_slope(s, says, word):
    claimed = ">" if word == "SC" else "<"
    students = _competing({t: c for t, c in s.students.items() if t <= TURN})
    if len(students) < 2:
        return says.absent(f"Fewer than two temperatures up to {TURN:g}.")
    temperatures = list(students)
    found, at = resampled_bias(s, word, temperatures, lambda v: _slope(temperatures, v))
    if found is None:
        return says.absent(_sentence(at))
    unit, text = "classes per unit of T", _ONE_SEED
    if found.n > 1:
        text = (
            f"#{word} over T = {_at(temperatures)}: {', '.join(str(int(v)) for v in at)} of {s.m} classes differ from "
            f"{_OTHER[word]}; slope {effect_text(found, unit)}."
        )
    measure = (
        f"slope of #{word} on T up to {TURN:g}, interval from resampling seeds; the paper: "
        f"{'above' if claimed == '>' else 'below'} 0"
    )
    return says.judged(text, found, measure=measure, claimed=claimed, unit=unit)


def _bias_falls(s, says, word):
    low, high = _low_and_high(_competing(s.students))
    if not low or not high:
        return says.absent(_no_temperature(low))
    pair = [max(low), max(high)]
    found, at = resampled_bias(s, word, pair, lambda v: np.asarray(v)[..., 1] - np.asarray(v)[..., 0])
    if found is None:
        return says.absent(_sentence(at))
    first, last = map(format_value, pair)
    text = _ONE_SEED
    if found.n > 1:
        text = (
            f"#{word} is {int(at[0])} at T = {first} and {int(at[1])} at T = {last}; {effect_text(found, 'classes')}."
        )
    measure = f"#{word} at T = {last} − at T = {first}, interval from resampling seeds; the paper: below 0"
    return says.judged(text, found, measure=measure, claimed="<", unit="classes")


_BIAS_STATEMENTS = (
    (
        "#SC rises",
        "The number of classes that differ from the student without a teacher rises with T up to about 10.",
        _bias_slope,
        "SC",
    ),
    ("#SC falls again", "At very high temperatures (20 to 40) #SC falls again.", _bias_falls, "SC"),
    (
        "#TC falls",
        "The number of classes that differ from the teacher falls with T up to about 10 (on CIFAR-100 it rises again "
        "from T = 8 on).",
        _bias_slope,
        "TC",
    ),
)


def _at(temperatures):
    return ", ".join(map(format_value, temperatures))


def _low_and_high(temperatures):
    """Those up to TURN, and those far beyond it."""
    return [t for t in temperatures if t <= TURN], [t for t in temperatures if t >= 2 * TURN]


def _no_temperature(low):
    return f"No temperature of {2 * TURN:g} or more." if low else f"No temperature up to {TURN:g}."


def _by_seed(curve, temperatures):
    """seed -> [value at each T], for the seeds that have all of them"""
    seeds = set.intersection(*(set(curve[t]) for t in temperatures)) if temperatures else set()
    return {k: np.array([curve[t][k] for t in temperatures]) for k in sorted(seeds)}


def _fair_curve(s, measure):
    """T -> {seed: value}, of the temperatures with enough seeds"""
    curve = s.curve(measure)
    most = max((len(v) for v in curve.values()), default=0)
    return {t: v for t, v in curve.items() if 2 * len(v) >= most}


def _mean_text(measure, values):
    mean = np.mean(list(values))
    return f"{mean:.4f}" if measure == "individual" else f"{100 * mean:.2f} %"


def _improves(s, says, measure, curve):
    low, _ = _low_and_high(curve)
    if len(low) < 2:
        return says.absent(f"Fewer than two temperatures up to {TURN:g}.")
    values = _by_seed(curve, low)
    if not values:
        return says.absent(_NO_SEED)
    relative = measure == "individual"
    unit = "% of its mean per unit of T" if relative else "points per unit of T"
    found = summarize(
        {k: 100 * float(_slope(low, v)) / (v.mean() if relative and v.mean() else 1) for k, v in values.items()}
    )
    first, last = (_mean_text(measure, (v[i] for v in values.values())) for i in (0, -1))
    text = (
        f"{first} at T = {format_value(low[0])}, {last} at T = {format_value(low[-1])}; slope over {len(low)} "
        f"temperatures {effect_text(found, unit)}."
    )
    how = f"slope of {WORDS[measure]} on T up to {TURN:g}, one per seed; the paper: below 0"
    return says.judged(text, found, measure=how, claimed="<", unit=unit)


def _worsens(s, says, measure, curve):
    low, high = _low_and_high(curve)
    if not low or not high:
        return says.absent(_no_temperature(low))
    top = max(low)
    values = _by_seed(curve, [top, *high])
    if not values:
        return says.absent(_NO_SEED)
    before, after = {k: v[0] for k, v in values.items()}, {k: v[1:].mean() for k, v in values.items()}
    found, unit = _difference(measure, after, before)
    text = (
        f"{_mean_text(measure, before.values())} at T = {format_value(top)}, {_mean_text(measure, after.values())} at "
        f"T = {_at(high)} (mean); {effect_text(found, unit)}."
    )
    how = (
        f"{WORDS[measure]} at T of {2 * TURN:g} and more (mean) − at T = {format_value(top)}, paired by seed; the "
        "paper: above 0"
    )
    return says.judged(text, found, measure=how, unit=unit)


def _difference(measure, a, b):
    """(a - b within a seed, its unit): of individual fairness, which has no scale of its own, in % of b."""
    if measure == "individual":
        return summarize({k: 100 * (v - b[k]) / b[k] for k, v in a.items() if b.get(k)}), "% of its value"
    return paired_difference(a, b), "points"


def _better_than_nds(s, says, measure, curve):
    nds = s.fairness(s.nds, measure) if s.nds is not None else {}
    low, _ = _low_and_high(curve)
    if not nds or not low:
        return says.absent("No finished student without a teacher." if not nds else _no_temperature(low))
    ds = {k: float(v.mean()) for k, v in _by_seed(curve, low).items()}
    common = [k for k in ds if k in nds]
    if not common:
        return says.absent("No seed is finished with and without a teacher.")
    found, unit = _difference(measure, ds, nds)
    with_teacher, without = (_mean_text(measure, (v[k] for k in common)) for v in (ds, nds))
    text = f"{with_teacher} with a teacher (mean over T up to {TURN:g}), {without} without; {effect_text(found, unit)}."
    how = f"{WORDS[measure]} of DS (mean over T up to {TURN:g}) − of NDS, paired by seed; the paper: below 0"
    return says.judged(text, found, measure=how, claimed="<", unit=unit)


def _beats_teacher(s, says, measure, curve):
    word = WORDS[measure]
    teacher = s.fairness(s.teacher, measure) if s.teacher is not None else {}
    if not teacher:
        return says.absent("No finished teacher.")
    validation = {t: s.fairness(s.students[t], measure, "validation") for t in curve}

    def choose(without=None):
        """seed -> T with the lowest mean over the other seeds on validation"""
        chosen = {}
        for seed in sorted({k for v in curve.values() for k in v if k != without}):
            merits = {}
            for t in curve:
                known = {k: v for k, v in validation[t].items() if k != without}
                others = [v for k, v in known.items() if k != seed] or list(known.values())
                if others and seed in curve[t]:
                    merits[t] = np.mean(others)
            if merits:
                chosen[seed] = min(merits, key=merits.get)
        return chosen

    def values_at(chosen):
        return {seed: curve[t][seed] for seed, t in chosen.items()}

    chosen = choose()
    values = values_at(chosen)
    if s.teacher.n == 1 and len(values) > 1:  # one teacher for all seeds
        teacher = dict.fromkeys(values, next(iter(teacher.values())))
    common = [k for k in values if k in teacher]
    if not common:
        return says.absent("No seed has a finished teacher and student.")
    d = jackknife(lambda without: within_seeds(values_at(choose(without)), teacher))
    mine, its = (_mean_text(measure, (v[k] for k in common)) for v in (values, teacher))
    at = _at(sorted({chosen[k] for k in common}))
    text = f"{mine} of the student at T = {at}, {its} of its teacher; {effect_text(d)}."
    how = (
        f"{word} of DS − of its teacher on test, T with the lowest {word} of the other seeds on validation; the paper: "
        "below 0"
    )
    return says.judged(text, d, measure=how, claimed="<")


# ---- notes -----------------------------------------------------------------------------------------------------------


def notes(series):
    out = [
        (
            "The class-bias test",
            f"Welch's t-test per class over seeds, of class accuracy / overall accuracy, two-sided, p < {ALPHA:g} "
            "without a correction for the number of classes: what the paper's poster describes; its significance level "
            "and correction are not visible. The table also has the difference instead of the ratio, and corrected "
            "counts. The seeds are the samples, so #SC and #TC grow with their number: compare them with the paper's "
            "only at five seeds.",
        ),
        (
            "Intervals of #SC and #TC",
            f"A number of significant classes has no value per seed. Seeds are resampled {N_RESAMPLES} times, all "
            "models of a seed together, for a standard error, and the t-interval with it is shown. It is wide: resampled "
            "seeds repeat, which changes what is significant.",
        ),
        (
            "EOD and DPD are biased up",
            "Both are gaps between the largest and the smallest of noisy rates: with few test examples in a group they "
            "are above 0 even for a fair model. Models are compared on the same test examples.",
        ),
    ]
    if any(s.m < 20 for s in series):
        out.append(
            (
                "Few classes",
                "With ten classes #SC and #TC take a handful of values; the paper finds zero or one on CIFAR-10 and "
                "SVHN, and its trends on 100 and 1000 classes.",
            )
        )
    if len(series) > MAX_SCENARIOS:
        out.append(
            ("Figures", f"Figures are drawn for the first {MAX_SCENARIOS} of {len(series)} tasks; tables hold all.")
        )
    return out
