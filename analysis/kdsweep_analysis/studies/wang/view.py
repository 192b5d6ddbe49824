"""One scenario in the words of the paper, and what validation chooses in it."""

from __future__ import annotations

import math

from ...classes import is_balanced
from ...selection import choose_configuration
from ...stats import pareto_front, summarize
from ...sweep import choose
from .. import reference
from ..common import chosen_elsewhere
from ..per_seed import over_seeds
from ..scope import Scope

TEACHERS = ("standard", "balanced", "robust")
ROWS = ("none", "std-d", "bal-d", "rob-d t-val", "rob-d o-val", "no teacher")


class View(Scope):
    """One scenario of a sweep, in the words of the paper."""

    def __init__(self, sweep, scenario):
        super().__init__(sweep, scenario)
        count = sweep.train_count(scenario)  # data may have a long tail of their own
        self.ratio = number(self.of("imbalance_ratio")) or 1.0 if count is None else count.max() / max(1, count.min())
        self.balanced = is_balanced(count) if count is not None else self.ratio == 1
        self.data = self.reference_data()
        teacher, _, student = self.networks().partition(" -> ")
        # The paper's smaller student is a ResNet-32; its other tables are of self-distillation.
        self.smaller = student != teacher
        self.paper_networks = f"resnet56 -> resnet{32 if self.smaller else 56}"
        fixed = sweep.key("teacher_seed") not in ("", "-1")
        self.grid_table = f"supplement, table {2 if self.smaller else 1 if fixed else 3}"
        self._tradeoffs, self._seed_grids = None, {}

    # -- configurations --

    def students(self, teacher=None, student=None, validation=None):
        found = self.sweep.select("student", self.scenario, teacher, student)
        if validation is not None:
            found = [c for c in found if self.validation_labels(c) == validation]
        return [c for c in found if c.n]

    def validation_labels(self, c):
        fixed = self.sweep.fixed.get("student.validation_labels", "one_hot")
        return str(self.sweep.value(c, "validation_labels", fixed) or fixed)

    def teachers(self, objective=None):
        return [c for c in self.sweep.select("teacher", self.scenario, objective) if c.n]

    def baselines(self, objective=None):
        return [c for c in self.sweep.select("baseline", self.scenario, student=objective) if c.n]

    def of_row(self, row, teacher):
        """Configurations of a row and a column of the paper's first table."""
        if row == "none":
            return self.teachers(teacher)
        if row == "no teacher":
            return self.baselines(teacher)
        if row == "std-d":
            return self.students(teacher, "standard")
        if row == "bal-d":
            return self.students(teacher, "balanced")
        return self.students(teacher, "robust", "teacher" if row.endswith("t-val") else "one_hot")

    def teacher_objectives(self):
        have = {c.teacher_objective for c in (*self.students(), *self.teachers())}
        return [t for t in TEACHERS if t in have]

    def grid(self):
        """(row, teacher) -> the configuration chosen for this cell of the paper's first table."""
        chosen = {(r, t): choose(self.of_row(r, t)).configuration for r in ROWS for t in self.teacher_objectives()}
        return {at: c for at, c in chosen.items() if c is not None}

    def standard_distillation(self):
        found = self.students("standard", "standard")
        if not found and self.balanced:  # balanced data: both objectives are the same
            found = self.students("balanced", "balanced") or self.tradeoffs().get((0.0, 0.0), [])
        return found

    def a_of(self, configuration, which):
        """(a, how directly the grid says so), None for objectives that are no trade-off."""
        objective = getattr(configuration, f"{which}_objective")
        kind, _, value = objective.partition(" ")
        if kind == "tradeoff":
            if not value:
                value = self.sweep.value(configuration, f"{which}_tradeoff", self.sweep.fixed.get(f"{which}.tradeoff"))
            return None if number(value) is None else (number(value), 2)
        if kind in ("balanced", "robust"):
            return (0.0 if kind == "balanced" else 1.0), 1
        return (0.0, 0) if kind == "standard" and self.balanced else None

    def tradeoffs(self):
        """(a_t, a_s) -> configurations; {} unless the trade-off is an axis. Where a grid says the same twice, as
        "tradeoff 0" and as "balanced", the former counts.
        """
        if self._tradeoffs is None:
            cells, native = {}, False
            for c in self.students():
                a_t, a_s = self.a_of(c, "teacher"), self.a_of(c, "student")
                if a_t is None or a_s is None:
                    continue
                native |= a_t[1] == 2 or a_s[1] == 2
                cells.setdefault((a_t[0], a_s[0]), []).append((a_t[1] + a_s[1], c))
            best = {at: max(rank for rank, _ in found) for at, found in cells.items()}
            self._tradeoffs = {
                at: [c for rank, c in cells[at] if rank == best[at]]
                for at in sorted(cells)
                if native and len(cells) > 2
            }
        return self._tradeoffs

    def chosen_tradeoffs(self):
        found = {at: choose(cs).configuration for at, cs in self.tradeoffs().items()}
        return {at: c for at, c in found.items() if c is not None}

    def seed_grids(self, without=None):
        """seed -> {(a_t, a_s): {"worst", "average"}}, only seeds that have every cell; `without`: of chosen_elsewhere."""
        if without not in self._seed_grids:
            cells = {at: chosen_elsewhere(cs, without=without) for at, cs in self.tradeoffs().items()}
            seeds = set.intersection(*(set(c) for c in cells.values())) if cells else ()
            self._seed_grids[without] = {s: {at: c[s][1] for at, c in cells.items()} for s in sorted(seeds)}
        return self._seed_grids[without]

    # -- the paper --

    def paper(self, **what):
        """The paper's number of the same data, or None."""
        return reference.find(data=self.data, networks=self.paper_networks, **what) if self.data else None

    def paper_of_row(self, row, teacher):
        """That of a cell of grid()."""
        if row == "no teacher":
            return None
        table = "supplement, table 1" if row == "none" and not self.smaller else self.grid_table
        return self.paper(table=table, method=row, teacher=teacher)

    def paper_front(self):
        """The paper's efficient trade-offs."""
        what = {"data": self.data, "networks": self.paper_networks, "method": "trade-off"}
        return reference.wang(**what) if self.data else []

    def paper_note(self, table):
        if not self.data:
            return ""
        note = f" Paper: {table}, {self.paper_networks}; its ± is the standard error of the mean."
        networks = self.networks()
        return note + (f" The networks here are {networks}." if networks and networks != self.paper_networks else "")


def number(text):
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def selected(view):
    """The (a_t, a_s) of the paper's Table 2: the largest worst-class accuracy on validation among those whose average
    accuracy on validation is at least that of standard distillation minus its standard error. Returns ((a_t, a_s) or
    None, (a_t, a_s) without the condition or None).
    """
    chosen = view.chosen_tradeoffs()
    if not chosen:
        return None, None
    at_of = {id(c): at for at, c in chosen.items()}
    free = choose(chosen.values()).configuration
    standard = choose(view.standard_distillation()).configuration
    held = None
    if standard is not None:
        n_validation = view.sweep.ds.attrs.get("n_validation")
        held = choose_configuration(chosen.values(), standard, n_validation=n_validation).configuration
    return (at_of[id(held)] if held is not None else None), (at_of[id(free)] if free is not None else None)


def methods(view):
    """Rows of the paper's Table 2 but for the selected trade-off: [(name, configurations)]."""
    rows = [
        ("standard distillation", view.standard_distillation()),
        ("robust student", view.students("standard", "robust")),
    ]
    if not view.balanced:
        rows.append(("balanced student", view.students("standard", "balanced")))
    rows += [
        ("AdaMargin", view.students("standard", "ada_margin")),
        ("AdaAlpha", view.students("standard", "ada_alpha")),
        ("Group DRO", view.baselines("group_dro") or view.teachers("group_dro")),
    ]
    return rows


_DECISIONS = {"post_shift": "post shift", "logit_adjusted": "teacher, logits adjusted", "drops": "teacher, DROPS"}


def decisions(view):
    """Decisions after training of the standard teacher: [(name, Summary worst, Summary average)]; a reason if none."""
    ds = view.sweep.ds
    names = ("decision_worst_class_accuracy", "decision_accuracy")
    if any(n not in ds for n in names) or "decision" not in ds:
        return "the file holds no decisions after training"
    c = choose(view.teachers("standard")).configuration
    if c is None and view.balanced:
        c = choose(view.teachers("balanced") or view.teachers("tradeoff 0")).configuration
    if c is None:
        return "no standard teacher is finished"
    out = []
    for word in map(str, ds["decision"].values):
        values = [ds[n].sel(decision=word, split="test").values[c.trials] for n in names]
        summaries = [summarize(over_seeds(view.sweep, c.trials, v)) for v in values]
        if summaries[0].n:
            out.append((_DECISIONS.get(word, word), *summaries))
    return sorted(out, key=lambda item: item[0] != "post shift") or "no decision of a finished standard teacher"


def front(chosen):
    """[(a_t, a_s)] on the Pareto front of the test means, from low to high average."""
    points = list(chosen)
    x = [chosen[at].mean("average") for at in points]
    y = [chosen[at].mean("worst") for at in points]
    return [points[i] for i in pareto_front(x, y)]
