"""A results file seen as an experiment: scenarios, cells, configurations, and the choice among them by validation.

    scenario       the task: one value of the imbalance ratio, of the student's model ... Never chosen.
    cell           role x teacher objective x student objective within a scenario: one square of the matrices.
                   Where the value of a tradeoff varies, it belongs to the objective: "tradeoff 0.5".
    configuration  a cell with one value of everything that is tuned (temperature, learning rates, mixing ...).
    seed           repeats of a configuration.

Rule of choice: the configuration with the largest mean worst-class accuracy on VALIDATION; a tie goes to the larger
mean accuracy on validation, then to the earlier one in the grid. The test split is only read off at what was chosen.
A configuration with fewer than half as many finished seeds as the fullest one of its competitors does not compete.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import xarray as xr

from . import data, metrics, schema
from .stats import Difference, Summary, paired_difference, summarize

__all__ = ["Choice", "Configuration", "Row", "Sweep", "choose"]

MEASURES = ("worst", "average", "worst_k")
_VARIABLE = {"worst": "worst_class_accuracy", "average": "accuracy"}


@dataclass
class Configuration:
    role: str
    scenario: tuple
    teacher_objective: str
    student_objective: str
    tuned: dict  # name -> value, only what varies within the role
    values: pd.DataFrame  # index seed; columns (measure, split); finished seeds only
    trials: list  # rows of the file that are in `values`, in no particular order
    n_planned: int  # seeds that the grid asks for
    n_pending: int = 0  # of these, seeds that are still missing
    order: int = 0  # first row in the file
    labels: dict = field(default_factory=dict)  # of what is tuned, for people

    @property
    def n(self):
        return len(self.values)

    def seeds(self, measure="worst", split="test") -> dict:
        """seed -> value"""
        return {} if self.values.empty else self.values[(measure, split)].dropna().to_dict()

    def summary(self, measure="worst", split="test") -> Summary:
        return summarize(self.seeds(measure, split))

    def mean(self, measure="worst", split="test") -> float:
        if self.values.empty:
            return np.nan
        v = self.values[(measure, split)].to_numpy()
        v = v[np.isfinite(v)]
        return float(v.mean()) if v.size else np.nan

    @property
    def objective(self):
        return self.teacher_objective if self.role == "teacher" else self.student_objective

    @property
    def preliminary(self):
        """What to say while seeds are still missing; "" when there are none."""
        return f"preliminary, {self.n} of {self.n_planned} seeds" if self.n_pending else ""

    def tuned_text(self):
        shown = {k: v for k, v in self.tuned.items() if not _is_blank(v)}
        if shown.get("validation_labels") == "one_hot":
            shown.pop("validation_temperature", None)  # of the teacher's labels there
        return ", ".join(f"{self.labels.get(k, short_name(k))} = {format_value(v)}" for k, v in shown.items())


@dataclass
class Choice:
    """What validation chose, and among how many."""

    configuration: Configuration | None
    n_candidates: int = 0
    n_set_aside: int = 0  # with too few finished seeds


@dataclass
class Row:
    """A row of the headline table."""

    method: str
    scenario: tuple
    choice: Choice
    versus_worst: Difference | None = None
    versus_average: Difference | None = None
    is_reference: bool = False
    is_best: bool = False
    notes: list = field(default_factory=list)

    @property
    def configuration(self):
        return self.choice.configuration


def choose(configurations) -> Choice:
    """The rule at the top of this file."""
    configurations = list(configurations)
    usable = [c for c in configurations if np.isfinite(c.mean("worst", "validation"))]
    if not usable:
        return Choice(None, 0, len(configurations))
    fullest = max(c.n for c in usable)
    competing = [c for c in usable if 2 * c.n >= fullest]

    def merit(c):  # rounded, so that equal accuracies tie whatever the order they were summed in
        return (round(c.mean("worst", "validation"), 9), round(c.mean("average", "validation"), 9), -c.order)

    best = max(competing, key=merit)
    return Choice(best, len(competing), len(configurations) - len(competing))


_SHORT = {
    "temperature": "T",
    "validation_temperature": "T_val",
    "imbalance_ratio": "imbalance ratio",
    "student_lr": "student lr",
    "teacher_lr": "teacher lr",
    "student_model": "student",
    "teacher_model": "teacher",
}


def short_name(name):
    return _SHORT.get(name, name.replace("_", " "))


def format_value(value):
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (float, np.floating)):
        return f"{value:g}"
    return str(value)


def objective_order(objective):
    """Sorting key: objectives in their fixed order, values of a tradeoff ascending."""
    kind, _, value = objective.partition(" ")
    rank = schema.OBJECTIVES.index(kind) if kind in schema.OBJECTIVES else len(schema.OBJECTIVES)
    return (rank, kind, float(value) if value else -np.inf)


def _is_blank(value):
    return bool(data.blank(np.asarray([value]))[0])


class Sweep:
    """`selection`: which epoch of each trial is looked at (last, best_average, best_worst; by validation in every
    case).
    """

    def __init__(self, source, selection="best_worst"):
        if selection not in schema.SELECTIONS:
            raise ValueError(f"selection {selection!r}: {', '.join(schema.SELECTIONS)}")
        self.path = None if isinstance(source, xr.Dataset) else source
        self.ds = source if self.path is None else data.load(source, bulky=False)
        self.selection = selection
        self.axes = data.axes_of(self.ds)
        ds = self.ds
        self.status = ds["status"].values.astype(int)
        self.role = data._words(ds["role"].values, schema.ROLES)
        self.done = self.status == schema.STATUS_DONE
        self.n_trials = self.status.size
        self.classes = [str(c) for c in ds["class"].values]
        self.n_classes = len(self.classes)
        self.worst_k = metrics.tenth(self.n_classes)
        self.seed_column = self._seed_column()
        self._scenario_columns = None
        self.columns = self._grid_columns()
        self._objectives = {name: self._objective_labels(name) for name in schema.TRADEOFF}
        self.configurations = self._configurations()

    # ---- measures ----

    @property
    def measures(self):
        """MEASURES, without worst_k where that is the worst class alone."""
        return MEASURES if self.worst_k > 1 else MEASURES[:2]

    def measure_name(self, measure):
        """In tables of numbers: worst, average, worst_10."""
        return f"worst_{self.worst_k}" if measure == "worst_k" else measure

    def test_numbers(self, configuration) -> dict:
        """The measures of a configuration on test, and their means on validation, as a row of numbers."""
        record = {}
        for measure in self.measures:
            s, name = configuration.summary(measure), self.measure_name(measure)
            record |= {f"test_{name}_mean": s.mean, f"test_{name}_sd": s.sd, f"test_{name}_low95": s.low}
            record |= {f"test_{name}_high95": s.high}
            record |= {f"validation_{name}_mean": configuration.mean(measure, "validation")}
        return record

    # ---- columns ----

    def _grid_columns(self):
        names = [str(n) for n, v in self.ds.coords.items() if v.dims == ("trial",) and n not in schema.VARIABLES]
        return [a for a in self.axes if a in names] + [n for n in names if n not in self.axes]

    def column(self, name):
        return self.ds[name].values

    def _varies(self, name, rows=None):
        values = self.column(name) if rows is None else self.column(name)[rows]
        return len(data.ordered_values(name, values)) > 1

    def _seed_column(self):
        names = [a for a in self.axes if schema.is_seed(a)]
        if "seed" in names or not names:
            return "seed" if "seed" in self.ds.coords else None
        return names[0]

    @property
    def other_seed_columns(self):
        """Further replicate columns that vary: averaged over within a seed."""
        return [c for c in self.columns if schema.is_seed(c) and c != self.seed_column and self._varies(c)]

    @property
    def scenario_columns(self):
        if self._scenario_columns is None:
            self._scenario_columns = [
                c for c in self.columns if schema.coordinate_kind(c) == "scenario" and self._varies(c)
            ]
        return self._scenario_columns

    def label(self, name):
        """A column for people: "lr" for teacher_lr and student_lr where one axis moves both."""
        owner, _, key = name.partition("_")
        pair = f"teacher_{key}", f"student_{key}"
        if owner in ("teacher", "student") and all(n in self.columns and n not in schema._OBJECTIVE for n in pair):
            students = self.role == "student"
            a, b = (pd.Series(self.column(n)[students]) for n in pair)
            if students.any() and a.equals(b) and self._varies(name):
                return short_name(key)
        return short_name(name)

    def tuned_columns(self, role):
        """What varies within a role and is neither seed, scenario nor objective; of columns that move together, the
        first.
        """
        rows = self.role == role
        names = [c for c in self.columns if schema.coordinate_kind(c) == "tunable" and self._varies(c, rows)]
        kept, seen = [], []
        for name in names:
            codes = pd.factorize(pd.Series(self.column(name)[rows]), use_na_sentinel=False)[0]
            if not any((codes == s).all() for s in seen):
                seen.append(codes)
                kept.append(name)
        return kept

    # ---- configurations ----

    def _objective_labels(self, name):
        """The objective of every trial; with its value where the tradeoff varies ("tradeoff 0.5")."""
        if name not in self.ds.coords:
            return np.full(self.n_trials, "standard", dtype=object)
        labels, value_name = self.column(name).astype(object), schema.TRADEOFF[name]
        if value_name in self.columns and self._varies(value_name):
            values = self.column(value_name)
            for i in np.flatnonzero((labels == "tradeoff") & ~data.blank(values)):
                labels[i] = f"tradeoff {format_value(values[i])}"
        return labels

    def _rows(self) -> pd.DataFrame:
        """One row per trial at the selection of this sweep."""
        at = self.ds.sel(selection=self.selection)
        table = {}
        for split in schema.SPLITS:
            for measure, variable in _VARIABLE.items():
                table[measure, split] = at[variable].sel(split=split).values.astype(np.float64)
            table["worst_k", split] = metrics.worst_k(at["class_accuracy"].sel(split=split).values, self.worst_k)
        return pd.DataFrame(table)

    def _configurations(self):
        rows = self._rows()
        seeds = self.column(self.seed_column) if self.seed_column else np.zeros(self.n_trials, dtype=int)
        out = []
        for role in schema.ROLES:
            members = np.flatnonzero(self.role == role)
            if not members.size:
                continue
            tuned = self.tuned_columns(role)
            objectives = {"teacher": ("teacher_objective",), "baseline": ("student_objective",)}.get(
                role, schema._OBJECTIVE
            )
            keys = self.scenario_columns + list(objectives) + tuned
            groups = {}
            for i in members:
                key = tuple(_key(self._value(name, i)) for name in keys)
                groups.setdefault(key, []).append(i)
            for members_of in groups.values():
                first = members_of[0]
                done = [i for i in members_of if self.done[i]]
                values = rows.iloc[done].groupby(np.asarray(seeds)[done]).mean() if done else rows.iloc[:0]
                values.columns = rows.columns
                out.append(
                    Configuration(
                        role=role,
                        scenario=tuple(_plain(self.column(c)[first]) for c in self.scenario_columns),
                        teacher_objective=str(self._value("teacher_objective", first)) if role != "baseline" else "",
                        student_objective=str(self._value("student_objective", first)) if role != "teacher" else "",
                        tuned={name: _plain(self.column(name)[first]) for name in tuned},
                        values=values,
                        trials=[int(i) for i in done],
                        n_planned=len({_key(seeds[i]) for i in members_of}),
                        n_pending=len({_key(seeds[i]) for i in members_of if self.status[i] == schema.STATUS_MISSING}),
                        order=int(first),
                        labels={name: self.label(name) for name in tuned},
                    )
                )
        return out

    def _value(self, name, i):
        return self._objectives[name][i] if name in self._objectives else self.column(name)[i]

    def select(self, role=None, scenario=None, teacher=None, student=None, **tuned):
        return [
            c
            for c in self.configurations
            if (role is None or c.role == role)
            and (scenario is None or self.in_scenario(c, scenario))
            and (teacher is None or c.teacher_objective == teacher)
            and (student is None or c.student_objective == student)
            and all(c.tuned.get(k) == v for k, v in tuned.items())
        ]

    @staticmethod
    def in_scenario(configuration, scenario):
        """Blanks match everything: a teacher has no student model, and serves students of every model."""
        return all(_is_blank(have) or have == want for have, want in zip(configuration.scenario, scenario))

    @property
    def scenarios(self) -> list[tuple]:
        """Scenarios in the order of the grid; of students if there are any, else of whatever was trained."""
        for role in ("student", "baseline", "teacher"):
            found = list(dict.fromkeys(c.scenario for c in self.configurations if c.role == role))
            if found:
                return sorted(
                    found, key=lambda s: tuple((0, v, "") if not isinstance(v, str) else (1, 0, v) for v in s)
                )
        return []

    def scenario_text(self, scenario):
        return ", ".join(f"{short_name(c)} {format_value(v)}" for c, v in zip(self.scenario_columns, scenario)) or ""

    def objectives(self, role, which="student"):
        names = {getattr(c, f"{which}_objective") for c in self.configurations if c.role == role} - {""}
        return sorted(names, key=objective_order)

    # ---- what is told ----

    def status_counts(self) -> dict:
        return {word: int((self.status == code).sum()) for code, word in enumerate(schema.STATUS)}

    def failures(self) -> pd.DataFrame:
        """Trials that diverged or failed, with what they were and why."""
        rows = np.flatnonzero((self.status == schema.STATUS_DIVERGED) | (self.status == schema.STATUS_FAILED))
        names = [c for c in self.columns if self._varies(c)]
        table = {
            "trial": rows,
            "spec_id": self.ds["spec_id"].values[rows],
            "status": data._words(self.status[rows], schema.STATUS),
            "role": self.role[rows],
            **{c: self.column(c)[rows] for c in names},
            "reason": self.ds["reason"].values[rows],
            "host": self.ds["host"].values[rows],
            "rank": self.ds["rank"].values[rows],
        }
        return pd.DataFrame(table)

    def support(self, split="test"):
        """Examples per class in a split, or None when the file does not tell."""
        if split == "test" and "label" in self.ds:
            return np.bincount(self.ds["label"].values.astype(int), minlength=self.n_classes)
        return None

    def worst_class_of(self, configuration) -> tuple[str, int, int]:
        """The class that is worst on test most often over the seeds: (name, how often, of how many)."""
        at = self.ds["worst_class"].sel(selection=self.selection, split="test").values
        found = Counter(int(at[i]) for i in configuration.trials if at[i] >= 0)
        if not found:
            return ("", 0, 0)
        # the most frequent; of equals the first in the order of the classes
        index = min(found, key=lambda c: (-found[c], c))
        return (self.classes[index], found[index], sum(found.values()))

    def class_accuracy(self, configuration, split="test") -> np.ndarray:
        """[seed][class]; other replicates are averaged within a seed by the mean over trials."""
        at = self.ds["class_accuracy"].sel(selection=self.selection, split=split).values
        return at[configuration.trials].astype(np.float64)

    def train_count(self, scenario) -> np.ndarray | None:
        """Training examples per class in a scenario, from any trial that has a row."""
        counts = self.ds["train_count"].values
        for c in self.select(scenario=scenario):
            for i in c.trials:
                if counts[i].sum() > 0:
                    return counts[i].astype(np.int64)
        return None

    def group_metrics(self, configuration) -> dict:
        """Measure -> Summary over seeds, on test, from group_counts; {} when the file has none."""
        trials = sorted(configuration.trials)
        at = schema.SELECTIONS.index(self.selection), schema.SPLITS.index("test")
        if "group_counts" in self.ds:
            counts = self.ds["group_counts"].values[trials][:, at[0], at[1]]
        elif self.path is not None and "group" in self.ds.sizes:
            with schema.open_results(self.path) as file:
                if "group_counts" not in file:
                    return {}
                counts = np.stack([file["group_counts"][i, at[0], at[1]] for i in trials])
        else:
            return {}
        seeds = self.column(self.seed_column)[trials] if self.seed_column else np.zeros(len(trials), dtype=int)
        measures = {
            "worst group": metrics.worst_group_accuracy,
            "equalized odds": metrics.equalized_odds_difference,
            "demographic parity": metrics.demographic_parity_difference,
        }
        return {name: summarize(pd.Series(f(counts)).groupby(seeds).mean()) for name, f in measures.items()}

    def _reference(self, scenario):
        """What students are compared with: the standard student without a teacher, else standard distillation."""
        baseline = choose(self.select("baseline", scenario, student="standard"))
        if baseline.configuration is not None:
            return baseline
        return choose(self.select("student", scenario, teacher="standard", student="standard"))

    def reference_text(self):
        kinds = {c.role for s in self.scenarios if (c := self._reference(s).configuration) is not None}
        if kinds == {"baseline"}:
            return "the standard student without a teacher"
        if kinds == {"student"}:
            return (
                "standard distillation (standard teacher, standard student): there is no standard student without "
                "a teacher"
            )
        if kinds:
            return "the standard student without a teacher, or standard distillation where there is none"
        return ""

    def headline(self) -> list[Row]:
        """Per scenario: teacher, students without a teacher, standard distillation, and the best student of each
        objective, each with its configuration chosen on validation; differences to the reference are paired over
        seeds, on test."""
        out = []
        for scenario in self.scenarios:
            rows = []

            def add(method, choice, scenario=scenario, rows=rows):
                if choice.configuration is not None:
                    rows.append(Row(method, scenario, choice))

            for objective in self.objectives("teacher", "teacher"):
                add(f"teacher alone, {objective}", choose(self.select("teacher", scenario, teacher=objective)))
            for objective in self.objectives("baseline"):
                add(f"no teacher, {objective}", choose(self.select("baseline", scenario, student=objective)))
            plain = choose(self.select("student", scenario, teacher="standard", student="standard"))
            add("distilled, standard from standard", plain)
            for objective in self.objectives("student"):
                best = choose(self.select("student", scenario, student=objective))
                if best.configuration is not None and best.configuration is not plain.configuration:
                    add(f"distilled, {objective} from {best.configuration.teacher_objective}", best)
            distilled = choose([r.configuration for r in rows if r.configuration.role == "student"])
            reference = self._reference(scenario).configuration
            for row in rows:
                row.is_reference = row.configuration is reference
                row.is_best = distilled.configuration is not None and row.configuration is distilled.configuration
                if reference is not None and not row.is_reference and row.configuration.role != "teacher":
                    row.versus_worst = paired_difference(row.configuration.seeds("worst"), reference.seeds("worst"))
                    row.versus_average = paired_difference(
                        row.configuration.seeds("average"), reference.seeds("average")
                    )
            out.extend(rows)
        return out

    def cells(self) -> pd.DataFrame:
        """Every configuration with mean, spread and n of both splits: the table behind the figures."""
        records = []
        for c in self.configurations:
            record = {"role": c.role, **dict(zip(self.scenario_columns, c.scenario))}
            record |= {"teacher_objective": c.teacher_objective, "student_objective": c.student_objective, **c.tuned}
            record |= {"n": c.n, "n_planned": c.n_planned}
            for split in ("validation", "test"):
                for measure in self.measures:
                    s, name = c.summary(measure, split), self.measure_name(measure)
                    record |= {f"{split}_{name}_mean": s.mean, f"{split}_{name}_sd": s.sd}
                    record |= {f"{split}_{name}_low95": s.low, f"{split}_{name}_high95": s.high}
            records.append(record)
        return pd.DataFrame(records)

    def seeds_table(self) -> pd.DataFrame:
        """Every configuration and seed: the values behind the means."""
        records = []
        for c in self.configurations:
            key = {"role": c.role, **dict(zip(self.scenario_columns, c.scenario))}
            key |= {"teacher_objective": c.teacher_objective, "student_objective": c.student_objective, **c.tuned}
            for seed, row in c.values.iterrows():
                values = {f"{split}_{m}": row[(m, split)] for split in schema.SPLITS for m in ("worst", "average")}
                records.append(key | {"seed": seed} | values)
        return pd.DataFrame(records)


def _plain(value):
    return value.item() if hasattr(value, "item") else value


def _key(value):
    """NaN equals NaN in a dictionary's key."""
    value = _plain(value)
    return "" if isinstance(value, float) and np.isnan(value) else value
