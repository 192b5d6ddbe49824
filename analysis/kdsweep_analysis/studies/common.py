"""What the studies share: joining results files, tables, claims with their verdicts, the page and the terminal summary.

Rule of the verdicts. The effect of a claim is a mean over seeds of one number per seed, with its 95 % Student-t
interval; where two things are compared, the number is their difference within a seed (trials of one seed share initial
weights, order of batches and data). Every claim says on which side of a bound (nearly always 0) its paper puts the
effect.

    agrees              the whole interval is on that side
    disagrees           the whole interval is on the other side
    not enough seeds    the bound is in the interval, or there are fewer than MIN_SEEDS seeds. `more_seeds` is how many
                        more would put an effect and a spread like these on one side with a probability of 80 %
    not in this sweep   the sweep holds nothing that the claim is about

What is compared is chosen on validation from the OTHER seeds (chosen_elsewhere), so that no seed profits from having
taken part in the choice. Seeds then share each other's luck, and a plain t-interval would be too narrow where candidates
are nearly equal; so the standard error is the jackknife's, which repeats the choice without each seed (jackknife).
Nothing is adjusted for the number of claims. The interval is about training again: all seeds are measured on the same
test examples.
"""

from __future__ import annotations

import math
import re
import shutil
import textwrap
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats as _stats

from .. import data, figures, schema
from ..figures import Drawn, Skipped
from ..significance import seeds_for_paired_test
from ..stats import Summary, summarize
from ..sweep import Configuration, Sweep, format_value

__all__ = [
    "AGREES",
    "COLUMN",
    "DISAGREES",
    "MIN_SEEDS",
    "NOT_ENOUGH",
    "NOT_IN_SWEEP",
    "PAGE",
    "Claim",
    "Drawn",
    "Findings",
    "Skipped",
    "Statement",
    "StudySweep",
    "Table",
    "cell",
    "chosen_elsewhere",
    "effect_cell",
    "effect_text",
    "jackknife",
    "jackknife_columns",
    "judge",
    "new_figure",
    "open_sweeps",
    "seeds_needed",
    "slug",
    "table_of",
    "within_seeds",
    "write_study",
]

AGREES, DISAGREES = "agrees", "disagrees"
NOT_ENOUGH, NOT_IN_SWEEP = "not enough seeds", "not in this sweep"
VERDICTS = (AGREES, DISAGREES, NOT_ENOUGH, NOT_IN_SWEEP)
MIN_SEEDS = 3  # two accuracies of a small test set are easily equal, and equal values have no spread
POWER = 0.8
SEEDS_LIMIT = 1000  # beyond, "how many more" is only "more than this"

COLUMN, PAGE = 3.3, 7.0  # inches: widths of figures
DPI = 300  # of their PNG


# ---- what a study is made of -----------------------------------------------------------------------------------------


@dataclass
class Table:
    """`shown` is text as in the paper, `numbers` everything behind it as fractions. Neither uses its index."""

    name: str  # of the files
    title: str
    caption: str
    shown: pd.DataFrame
    numbers: pd.DataFrame


@dataclass
class Claim:
    key: str  # "2.9 (i)"
    source: str  # section of methods.md
    paper: str  # what the paper found, one sentence
    found: str  # what this sweep shows, one sentence with numbers
    effect: float = math.nan
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    verdict: str = NOT_IN_SWEEP
    more_seeds: int | None = None  # None: cannot be estimated, or no more are needed
    where: str = ""  # scenario
    measure: str = ""  # what `effect` is, and which sign the paper claims
    bound: float = 0.0
    # points: a difference of fractions, in percentage points; %: a fraction; anything else: as it is
    unit: str = "points"

    @property
    def more_text(self):
        if self.verdict != NOT_ENOUGH:
            return ""
        if self.n < 2:
            return f"at least {MIN_SEEDS - self.n} more; one seed has no spread to reckon with" if self.n else ""
        if self.more_seeds is None:
            return ""
        return f"more than {SEEDS_LIMIT} more" if self.more_seeds > SEEDS_LIMIT else f"about {self.more_seeds} more"


@dataclass
class Findings:
    """Of one data set. What could not be made is in the lists as Skipped(section, reason)."""

    tables: list = field(default_factory=list)  # Table | Skipped
    figures: list = field(default_factory=list)  # Drawn | Skipped
    claims: list = field(default_factory=list)
    notes: list = field(default_factory=list)  # (head, text)


# ---- verdicts --------------------------------------------------------------------------------------------------------


def seeds_needed(effect, sd, n, limit=SEEDS_LIMIT) -> int | None:
    """How many seeds beyond `n` give a t-test of `effect` against 0 a power of POWER, if effect and spread are as seen.

    At least 1; limit + 1 when it takes more than `limit`; None when there is no spread to reckon with.
    """
    if n < 2:
        return None
    total = seeds_for_paired_test(effect, sd, POWER)
    if math.isnan(total):
        return None
    return int(min(max(total, MIN_SEEDS, n + 1) - n, limit + 1))


def judge(s: Summary, bound=0.0, claimed=">") -> tuple[str, int | None]:
    """(verdict, more seeds) of a Summary or Difference: the rule at the top of this file. `claimed`: ">" or "<"."""
    if s.n == 0:
        return NOT_IN_SWEEP, None
    above, below = s.low > bound, s.high < bound
    if s.n >= MIN_SEEDS and (above or below):
        return (AGREES if above == (claimed == ">") else DISAGREES), None
    more = seeds_needed(s.mean - bound, s.sd, s.n)
    return NOT_ENOUGH, more


@dataclass(frozen=True)
class Statement:
    """What a paper found; a sweep makes a Claim of it. The fields are those of Claim."""

    key: str
    source: str
    paper: str
    where: str = ""

    def judged(self, found, s: Summary, *, measure="", bound=0.0, claimed=">", unit="points") -> Claim:
        """From one number per seed (stats.Summary or stats.Difference)."""
        verdict, more = judge(s, bound, claimed)
        of = (s.mean, s.low, s.high, s.n, verdict, more, self.where, measure, bound, unit)
        return Claim(self.key, self.source, self.paper, found, *of)

    def absent(self, why) -> Claim:
        """Not in this sweep."""
        return Claim(self.key, self.source, self.paper, why, where=self.where)


def effect_text(s, unit="points") -> str:
    """ "+2.1 points [+0.4, +3.8], n = 5" """
    if s.n == 0:
        return "no common seed"
    number = _signed(unit)
    tail = f" [{number(s.low)}, {number(s.high)}], n = {s.n}" if s.n > 1 else " (one seed, no interval)"
    return number(s.mean) + (f" {unit}" if unit else "") + tail


def effect_cell(s, unit="points") -> str:
    """ "+2.1 [+0.4, +3.8]" """
    if s.n == 0:
        return "–"
    number = _signed(unit)
    return number(s.mean) + (f" [{number(s.low)}, {number(s.high)}]" if s.n > 1 else "")


def _signed(unit):
    def number(v):
        if not np.isfinite(v):
            return "–"
        if unit == "%":
            return f"{100 * v:.1f}"
        text = f"{100 * v:+.1f}" if unit == "points" else f"{v:+.2f}"
        return re.sub(r"^[+-](0\.0+)$", r"\1", text).replace("-", "−")

    return number


def jackknife(effects) -> Summary:
    """Summary of the effect of a claim with a choice in it. `effects(without)`: seed -> number, without a seed when
    everything, the choice included, is made from the other seeds only (None: from all).

    The mean is that of effects(None); its standard error sqrt((n - 1) / n sum_i (theta_i - mean theta)^2), theta_i the
    mean without seed i (Efron, Tibshirani 1993, ch. 11), is that of a plain mean where nothing is chosen. `sd` is the
    standard error times sqrt(n).
    """
    s = summarize(effects(None))
    if s.n < 2:
        return s
    theta = np.array([summarize(effects(seed)).mean for seed in s.seeds])
    theta = theta[np.isfinite(theta)]
    if theta.size < 2:
        return s
    n = theta.size
    error = math.sqrt((n - 1) / n * float(((theta - theta.mean()) ** 2).sum()))
    half = float(_stats.t.ppf(0.975, n - 1)) * error
    return replace(s, sd=error * math.sqrt(s.n), low=s.mean - half, high=s.mean + half)


def jackknife_columns(effects, n) -> list:
    """The same of each of the n entries of arrays, seed -> array; `sd` is that of the seeds' values, for error bars."""
    every = effects(None)
    left_out = {seed: effects(seed) for seed in every}

    def column(i):
        def of(without):
            return {s: float(v[i]) for s, v in (every if without is None else left_out[without]).items()}

        return replace(jackknife(of), sd=summarize(of(None)).sd)

    return [column(i) for i in range(n)]


def within_seeds(a, b) -> dict:
    """seed -> a - b, of the seeds that both have."""
    return {seed: v - b[seed] for seed, v in a.items() if seed in b}


def chosen_elsewhere(configurations, measures=("worst", "average"), merit=None, without=None) -> dict:
    """seed -> (configuration, {measure: test value at that seed}); the configuration is chosen on validation from the
    means over all other seeds (sweep.choose: worst class, then average), so that the noise of a seed's own training
    does not favour what it is then measured on. With one seed in all, that seed chooses.

    `merit(values)`, of the table of one configuration's seeds, larger is better, takes the place of the rule. A
    configuration with fewer than half of the seeds of its fullest competitor does not compete. `without`: as if this
    seed had never been trained.
    """
    pool = []  # configuration, its values, and for each seed the merit on the others
    tables = [
        (c, c.values if without is None else c.values.drop(index=without, errors="ignore")) for c in configurations
    ]
    n_seeds = len({s for _, v in tables for s in v.index})
    fullest = max((len(v) for _, v in tables), default=0)
    for c, v in tables:
        if 2 * len(v) < fullest or (len(v) == 1 and n_seeds > 1):  # nothing to judge it by
            continue
        own = v.index.to_list()
        merits = _merits_elsewhere(c, v) if merit is None else [_merit_without(v, s, merit) for s in own]
        pool.append((c, v, dict(zip(own, zip(merits, range(len(own)))))))
    out = {}
    for seed in sorted({s for *_, of in pool for s in of}):
        competing = [(of[seed][0], c, v, of[seed][1]) for c, v, of in pool if seed in of]
        competing = [x for x in competing if np.isfinite(np.atleast_1d(x[0])[0])]
        if competing:
            _, best, v, row = max(competing, key=lambda x: x[0])
            out[seed] = (best, {m: float(v[(m, "test")].iloc[row]) for m in measures})
    return out


def _merits_elsewhere(c, values):
    """Per seed the rule of sweep.choose on the means over the other seeds."""
    v = np.stack([values[(m, "validation")].to_numpy(np.float64) for m in ("worst", "average")])
    if v.shape[1] > 1:
        present = np.isfinite(v)
        total, n = np.where(present, v, 0.0).sum(axis=1, keepdims=True), present.sum(axis=1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            v = np.where(present, (total - np.where(present, v, 0.0)) / (n - 1), total / n)
    return [(round(worst, 9), round(average, 9), -c.order) for worst, average in v.T.tolist()]


def _merit_without(values, seed, merit):
    others = values.drop(index=seed)
    return merit(values if others.empty else others)


def values_of(chosen, measure="worst") -> dict:
    """seed -> value, from chosen_elsewhere()."""
    return {seed: values[measure] for seed, (_, values) in chosen.items()}


# ---- files -----------------------------------------------------------------------------------------------------------


class StudySweep(Sweep):
    """A Sweep of one data set, possibly from several files whose trials are put one after the other.

    `values(name)` a key of the grid for every trial, whether it was swept or not; `read(name, trials)` rows of a
    variable that is not loaded (counts, group_counts, prediction, multiplier ...), None if no file has it.
    """

    def __init__(self, ds, selection, sources, name=""):
        self.sources = sources  # per trial (path, row)
        self.fixed = ds.attrs.get("fixed", {})  # path of a key -> text, where all files agree
        self.name = name
        super().__init__(ds, selection)

    def has(self, name):
        return name in self.ds or any(_has(path, name) for path in dict.fromkeys(p for p, _ in self.sources))

    def read(self, name, trials):
        trials = [int(i) for i in trials]
        if name in self.ds:
            return self.ds[name].values[trials]
        by_path = {}
        for at, i in enumerate(trials):
            path, row = self.sources[i]
            by_path.setdefault(path, []).append((at, row))
        parts = {}
        for path, places in by_path.items():
            with schema.open_results(path) as file:
                if name not in file:
                    return None
                for at, row in places:
                    parts[at] = file[name][row]
        if not parts:
            return None
        shape = tuple(np.max([p.shape for p in parts.values()], axis=0))
        out = [parts[i] for i in range(len(trials))]
        if any(p.shape != shape for p in out):  # other numbers of epochs
            out = [np.pad(p, [(0, a - b) for a, b in zip(shape, p.shape)], constant_values=_filler(p)) for p in out]
        return np.stack(out)

    def key(self, name, path="") -> str:
        """Value of a key that is the same in all files, as text; "" if it is not known or differs."""
        if name in self.columns:
            values = {format_value(v) for v in data.ordered_values(name, self.column(name))}
            return values.pop() if len(values) == 1 else ""
        return self.fixed.get(path or _PATHS.get(name, name), "")

    def value(self, configuration: Configuration, name, default=None):
        """Value of a key for a configuration, if it is a column of the file(s)."""
        if name in configuration.tuned:
            return configuration.tuned[name]
        if name in self.scenario_columns:
            return configuration.scenario[self.scenario_columns.index(name)]
        if name in self.columns:
            v = self.column(name)[configuration.order]
            v = v.item() if hasattr(v, "item") else v
            return default if data.blank(np.asarray([v]))[0] else v
        return default

    def of_scenario(self, scenario, name):
        """Value of a scenario's column as text, or that of the whole sweep; "" if neither tells."""
        if name in self.scenario_columns:
            return format_value(scenario[self.scenario_columns.index(name)])
        return self.key(name)


def _has(path, name):
    with schema.open_results(path) as file:
        return name in file


def _filler(a):
    return np.nan if a.dtype.kind == "f" else 0


# Columns whose keys have other paths than <owner>.<rest>, for grids that leave them at one value.
_PATHS = {
    "seed": "seeds",
    "data_source": "data.source",
    "cifar_labels": "data.cifar100.labels",
    "imbalance_profile": "data.imbalance.profile",
    "imbalance_ratio": "data.imbalance.ratio",
    "max_count": "data.imbalance.max_count",
    "validation_from": "data.validation.from",
    "validation_fraction": "data.validation.fraction",
    "split_seed": "data.split_seed",
    "standardize": "data.standardize",
    "augment_pad": "data.augment.pad",
    "augment_flip": "data.augment.flip",
    "trifeature_groups": "data.trifeature.groups",
    "tint_colours": "data.tint.colours",
    "correlation_strength": "data.correlation.strength",
    "correlation_count": "data.correlation.count",
    "teacher_seed": "teacher.seed",
    **{
        n: f"student.{n}"
        for n in (
            "temperature",
            "mixing",
            "one_hot_weight",
            "tempered",
            "t_squared",
            "augmented_labels",
            "validation_labels",
            "validation_temperature",
        )
    },
    **{f"ada_{n}": f"student.ada.{n}" for n in ("per", "temperature", "scale", "minimum", "maximum")},
    "ada_from": "student.ada.margin_from",
    **{f"dkd_{n}": f"student.dkd.{n}" for n in ("alpha", "beta", "warmup")},
    **{f"dist_{n}": f"student.dist.{n}" for n in ("inter", "intra")},
}
_RECIPE_PATHS = {
    **{n: n for n in ("model", "shortcut", "objective", "tradeoff")},
    **{
        n: f"train.{n}"
        for n in (
            "epochs",
            "batch",
            "lr",
            "momentum",
            "nesterov",
            "weight_decay",
            "decay_biases",
            "schedule",
            "warmup",
            "milestones",
            "lr_decay",
        )
    },
    **{f"robust_{n}": f"robust.{n}" for n in ("step", "every", "risk", "iterate")},
    "robust_batch": "robust.validation_batch",
    "tau": "logit_adjusted.tau",
    "beta": "class_balanced.beta",
    "reweight_from": "class_balanced.from_epoch",
    "smoothing": "label_smoothing.epsilon",
    "focal_gamma": "focal.gamma",
    "ldam_margin": "ldam.margin",
    "ldam_scale": "ldam.scale",
    "dro_groups": "group_dro.groups",
    "dro_learns": "group_dro.learn_on",
    "dro_adjustment": "group_dro.adjustment",
    "cvar_fraction": "cvar.fraction",
}
for _owner in ("teacher", "student"):
    _PATHS |= {f"{_owner}_{n}": f"{_owner}.{p}" for n, p in _RECIPE_PATHS.items()}

_DRO = ("robust", "tradeoff")
_TAUGHT_ONLY = tuple(n for n, p in _PATHS.items() if p.startswith("student.") and not n.startswith("student_"))
# Where a key of an objective has a meaning (as in src/trial/keys.c): name without owner -> objectives.
_ONLY_FOR = {
    "tradeoff": ("tradeoff",),
    "tau": ("logit_adjusted",),
    "beta": ("class_balanced", "ldam", "balanced_kd"),
    "reweight_from": ("class_balanced", "ldam", "balanced_kd"),
    "smoothing": ("label_smoothing",),
    "focal_gamma": ("focal",),
    "ldam_margin": ("ldam",),
    "ldam_scale": ("ldam",),
    "dro_groups": ("group_dro",),
    "dro_learns": ("group_dro",),
    "dro_adjustment": ("group_dro",),
    "cvar_fraction": ("cvar",),
    "robust_step": (*_DRO, "group_dro"),
    **{n: (*_DRO, "group_dro") for n in ("robust_every", "robust_batch", "robust_risk", "robust_iterate")},
    "validation_labels": _DRO,
    "validation_temperature": _DRO,
    **{n: ("ada_alpha", "ada_margin") for n in _PATHS if n.startswith("ada_")},
    **{n: ("dkd",) for n in _PATHS if n.startswith("dkd_")},
    **{n: ("dist",) for n in _PATHS if n.startswith("dist_")},
    "mixing": None,  # not for the objectives that weigh their terms themselves
}


def resolved_keys(text) -> dict:
    """Keys of a resolved grid: path -> text; lists stay as they are written."""
    out = {}
    for line in str(text).splitlines():
        match = re.match(r"\s*([A-Za-z_][\w.]*)\s*[=:]\s*(.*?);?\s*$", line)
        if match:
            out[match[1]] = match[2].strip().rstrip(";").strip()
    return out


def _scalar(text, like=None):
    """A value of a resolved grid; None for a list of several."""
    text = text.strip()
    if text.startswith(("[", "(")):
        inner = [p for p in text[1:-1].split(",") if p.strip()]
        if len(inner) != 1:
            return None
        text = inner[0].strip()
    if text.startswith('"'):
        return text.strip('"')
    if text in ("true", "false"):
        return int(text == "true")
    try:
        return int(text) if re.fullmatch(r"[+-]?\d+", text) else float(text)
    except ValueError:
        return text


def open_sweeps(paths, selection="last") -> list[StudySweep]:
    """One StudySweep per data set: files of the same data (fingerprint, classes, groups) are joined.

    A trial that is in several files (the same spec_id) is taken once, finished if any of them finished it. Keys that a
    file does not hold as a column, because its grid does not vary them, are filled from its resolved grid.
    """
    paths = [paths] if isinstance(paths, (str, Path)) else list(paths)
    families = {}
    for path in paths:
        ds = data.load(path, bulky=False)
        groups = tuple(map(str, ds["group"].values)) if "group" in ds else ()
        label = ds["label"].values.tobytes() if "label" in ds else b""
        family = (str(ds.attrs.get("data_fingerprint", "")), tuple(map(str, ds["class"].values)), groups, label)
        families.setdefault(family, []).append((path, ds))
    out = []
    for files in families.values():
        ds, sources = _join(files)
        out.append(StudySweep(ds, selection, sources))
    names = [_data_name(sweep) for sweep in out]
    for sweep, name, files in zip(out, names, families.values()):
        alike = names.count(name) > 1  # other sizes of the same source: the files tell them apart
        sweep.name = f"{name} ({', '.join(dict.fromkeys(Path(path).stem for path, _ in files))})" if alike else name
    for i, sweep in enumerate(out):
        if [s.name for s in out[:i]].count(sweep.name):
            sweep.name += f" {i + 1}"
    return out


def _data_name(sweep):
    source = sweep.key("data_source")
    path = sweep.key("data_path", "data.path").strip('"').rstrip("/")
    if source in ("", "idx", "hdf5"):
        return Path(path).stem if path else str(sweep.ds.attrs.get("title", "") or "data")
    return source


def _join(files):
    keys = [resolved_keys(ds.attrs.get("grid_resolved", "")) for _, ds in files]
    common = {
        k: str(_scalar(v))
        for k, v in keys[0].items()
        if all(o.get(k) == v for o in keys[1:]) and _scalar(v) is not None
    }
    if len(files) == 1:
        path, ds = files[0]
        ds.attrs["fixed"] = common
        return ds, [(path, i) for i in range(ds.sizes["trial"])]
    all_ds = [ds for _, ds in files]
    columns = list(
        dict.fromkeys(
            str(n) for ds in all_ds for n, v in ds.coords.items() if v.dims == ("trial",) and n not in schema.VARIABLES
        )
    )
    # fixed keys that differ between the files become columns too
    by_path = {p: n for n, p in _PATHS.items()}
    for path in dict.fromkeys(p for k in keys for p in k):
        values = [_scalar(k[path]) if path in k else None for k in keys]
        name = by_path.get(path)
        if name and name not in columns and None not in values and len(set(values)) > 1 and not schema.is_seed(name):
            columns.append(name)
    filled = [_with_columns(ds, k, columns) for ds, k in zip(all_ds, keys)]
    n_epochs = max(ds.sizes.get("epoch", 0) for ds in filled)
    longest = max(filled, key=lambda d: d.sizes.get("epoch", 0))
    offsets = np.cumsum([0] + [ds.sizes["trial"] for ds in filled])
    spec = np.concatenate([ds["spec_id"].values for ds in filled])
    status = np.concatenate([ds["status"].values for ds in filled])
    keep_of = {}  # spec_id -> row that stands for it
    for i, (s, state) in enumerate(zip(spec, status)):
        have = keep_of.get(s)
        if have is None or (state == schema.STATUS_DONE and status[have] != schema.STATUS_DONE):
            keep_of[s] = i
    kept = np.array(sorted(keep_of.values()), dtype=int)
    place = {row: i for i, row in enumerate(kept)}
    sources = [(files[f][0], r) for f, ds in enumerate(filled) for r in range(ds.sizes["trial"])]
    out, coords = {}, {}
    for name in dict.fromkeys(str(n) for ds in filled for n in ds.variables):
        holders = [ds for ds in filled if name in ds.variables]
        v = holders[0].variables[name]
        if "trial" not in v.dims:
            source = longest if "epoch" in v.dims and name in longest.variables else holders[0]
            target = coords if name in source.coords else out
            target[name] = (source.variables[name].dims, source.variables[name].values, v.attrs)
            continue
        if name == "trial":
            continue
        parts = [_part(ds, name, v, n_epochs) for ds in filled]
        values = np.concatenate([p.astype(object) for p in parts]) if v.dtype.kind == "O" else np.concatenate(parts)
        if name in ("teacher_trial", "baseline_trial"):
            shift = np.concatenate([np.full(ds.sizes["trial"], o) for ds, o in zip(filled, offsets)])
            whole = np.where(values >= 0, values + shift, -1).astype(int)
            values = np.array([place[keep_of[spec[i]]] if i >= 0 else -1 for i in whole], dtype=np.int64)
        target = coords if name in holders[0].coords else out
        target[name] = (v.dims, values[kept], v.attrs)
    coords["trial"] = (("trial",), np.arange(kept.size))
    attrs = dict(all_ds[0].attrs)
    attrs["axes"] = list(dict.fromkeys(a for ds in all_ds for a in ds.attrs.get("axes", [])))
    attrs["fixed"] = common
    attrs["grid_resolved"] = "\n".join(str(ds.attrs.get("grid_resolved", "")) for ds in all_ds)
    return xr.Dataset(out, coords, attrs), [sources[i] for i in kept]


def _part(ds, name, like, n_epochs):
    shape = tuple(n_epochs if d == "epoch" else ds.sizes.get(d, s) for d, s in zip(like.dims, like.shape, strict=True))
    if name not in ds.variables:
        shape = (ds.sizes["trial"], *shape[1:])
        if like.dtype.kind == "O":
            return np.full(shape, "", dtype=object)
        return np.full(shape, np.nan if like.dtype.kind == "f" else 0, dtype=like.dtype)
    values = ds.variables[name].values
    if "epoch" in like.dims and values.shape != shape:
        pad = [(0, a - b) for a, b in zip(shape, values.shape)]
        values = np.pad(values, pad, constant_values=_filler(values))
    return values


def _with_columns(ds, keys, columns):
    """The dataset with every column; what its grid does not vary is filled from the resolved grid."""
    new = {}
    role = data._words(ds["role"].values, schema.ROLES)
    for name in columns:
        if name in ds.coords:
            continue
        value = _scalar(keys[_PATHS[name]]) if _PATHS.get(name) in keys else None
        if value is None:
            value = ""
        text = isinstance(value, str)
        integer = isinstance(value, int)
        blank = "" if text else (np.iinfo(np.int64).min if integer else np.nan)
        column = np.full(ds.sizes["trial"], value, dtype=object if text else np.int64 if integer else np.float64)
        column[~_applies(ds, name, role)] = blank
        new[name] = (("trial",), column)
    ds = ds.assign_coords(new)
    return _same_kinds(ds, columns)


def _same_kinds(ds, columns):
    """Numbers of the grid as float64, so that 1 and 1.0 of two files are the same value."""
    change = {}
    for name in columns:
        v = ds[name].values
        if v.dtype.kind == "i" and not schema.is_seed(name):
            change[name] = (("trial",), np.where(data.blank(v), np.nan, v.astype(np.float64)))
    return ds.assign_coords(change)


def _applies(ds, name, role):
    owner, _, rest = name.partition("_")
    rows = np.ones(role.size, bool)
    student = ds["student_objective"].values if "student_objective" in ds else np.full(role.size, "standard", object)
    teacher = ds["teacher_objective"].values if "teacher_objective" in ds else np.full(role.size, "standard", object)
    if owner == "teacher":
        rows &= role != "baseline"
        objective = teacher
    elif owner == "student":
        rows &= role != "teacher"
        objective = student
    else:
        rest, objective = name, student
        if name in _TAUGHT_ONLY:
            rows &= role == "student"
    if name == "teacher_seed":
        return role == "student"
    only = _ONLY_FOR.get(rest)
    if only:
        rows &= np.isin(objective.astype(str), only)
    if name == "validation_temperature" and "validation_labels" in ds:
        rows &= ds["validation_labels"].values.astype(str) == "teacher"
    return rows


# ---- text ------------------------------------------------------------------------------------------------------------


def slug(text):
    return re.sub(r"_+", "_", "".join(ch if ch.isalnum() or ch in ".-" else "_" for ch in str(text))).strip("_")


def cell(s: Summary, digits=1, scale=100.0) -> str:
    """Mean ± standard deviation over seeds, in percent; "–" without values."""
    if s is None or s.n == 0 or not np.isfinite(s.mean):
        return "–"
    text = f"{scale * s.mean:.{digits}f}"
    return text if s.n == 1 else f"{text} ± {scale * s.sd:.{digits}f}"


def table_of(records, columns=None, blank="") -> pd.DataFrame:
    """A frame of text from dictionaries, `blank` where one has no value; `columns` that none has are left out."""
    frame = pd.DataFrame(records)
    if columns is not None:
        frame = frame[[c for c in columns if c in frame.columns]]
    return frame.fillna(blank)


def markdown(frame: pd.DataFrame) -> str:
    rows = [list(map(str, frame.columns))] + [[str(v) for v in row] for row in frame.itertuples(index=False)]
    rows = [[v.replace("|", "\\|").replace("\n", " ") for v in row] for row in rows]
    widths = [max(3, *(len(row[i]) for row in rows)) for i in range(len(rows[0]))]
    lines = ["| " + " | ".join(v.ljust(w) for v, w in zip(row, widths)) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *lines[1:]]) + "\n"


def new_figure(height, width=PAGE):
    return figures._figure(height, width)


# ---- writing ---------------------------------------------------------------------------------------------------------

MANIFEST = "files.txt"  # what this command wrote, so that the next run takes it away again, and nothing else


def trends_frame(results) -> pd.DataFrame:
    """All claims as a frame, from [(StudySweep, Findings)]; effects in their unit, that is, points and % as such."""
    names = ("key", "source", "where", "verdict", "effect", "low", "high", "bound", "n", "more_seeds", "unit")
    records = []
    for sweep, found in results:
        for c in found.claims:
            record = {"data": sweep.name, **{n: getattr(c, n) for n in names}}
            if c.unit in ("points", "%"):  # fractions so far
                record |= {n: 100 * record[n] for n in ("effect", "low", "high", "bound")}
            records.append(record | {"measure": c.measure, "paper": c.paper, "found": c.found})
    frame = pd.DataFrame(records, columns=["data", *names, "measure", "paper", "found"])
    frame["more_seeds"] = frame["more_seeds"].astype("Int64")
    return frame


def build(paths, study, selection=None):
    """(module of the study, [(StudySweep, Findings)]); one entry per data set."""
    from . import load_study

    module = load_study(study) if isinstance(study, str) else study
    sweeps = open_sweeps(paths, selection or module.SELECTION)
    with figures.style():
        results = [(sweep, module.build(sweep)) for sweep in sweeps]
    if len(results) > 1:
        for sweep, found in results:
            for item in (*found.tables, *found.figures):
                if not isinstance(item, Skipped):
                    item.name = f"{slug(sweep.name)}_{item.name}"
    return module, results


def write_study(paths, study, folder, selection=None, title=None):
    """Write a study of one or more results files: folder/index.html (self-contained), figures/*.svg, *.png and *.pdf,
    tables/*.csv (numbers) and *.md (as shown), trends.csv. Returns (path of index.html, [(StudySweep, Findings)]).
    """
    module, results = build(paths, study, selection)
    folder = Path(folder)
    _forget(folder)
    (folder / "tables").mkdir(parents=True, exist_ok=True)
    written = []
    for _, found in results:
        for drawn in found.figures:
            if isinstance(drawn, Drawn):
                written += figures.save(drawn, folder / "figures", ("svg", "png", "pdf"), DPI).values()
        for table in found.tables:
            if isinstance(table, Table):
                target = folder / "tables" / f"{table.name}.csv"
                table.numbers.to_csv(target, index=False)
                text = folder / "tables" / f"{table.name}.md"
                text.write_text(f"{table.title}\n\n{markdown(table.shown)}\n{table.caption}\n", encoding="utf-8")
                written += [target, text]
    trends_frame(results).to_csv(folder / "trends.csv", index=False)
    index = folder / "index.html"
    index.write_text(_page(module, results, paths, title), encoding="utf-8")
    written += [folder / "trends.csv", index]
    names = sorted(str(p.relative_to(folder).as_posix()) for p in written)
    (folder / MANIFEST).write_text("\n".join(names) + "\n", encoding="utf-8")
    return index, results


def _forget(folder):
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return
    for name in manifest.read_text(encoding="utf-8").splitlines():
        parts = Path(name).parts
        if name and not Path(name).is_absolute() and ".." not in parts and len(parts) <= 2:
            (folder / name).unlink(missing_ok=True)


def _page(module, results, paths, title):
    from ..report import _environment, _image

    blocks = []
    for i, (sweep, found) in enumerate(results):
        pictures = []
        for item in found.figures:
            if isinstance(item, Drawn):
                width, height = item.figure.get_size_inches()
                size = {"width": round(96 * width), "height": round(96 * height)}
                pictures.append({"drawn": item, "src": _image(item), **size})
        missing = [m for m in (*found.tables, *found.figures) if isinstance(m, Skipped)]
        done = sweep.status_counts()
        blocks.append(
            {
                "id": f"d{i + 1}",
                "name": sweep.name,
                "counts": done,
                "n": sweep.n_trials,
                "claims": found.claims,
                "verdicts": {v: sum(c.verdict == v for c in found.claims) for v in VERDICTS},
                "tables": [t for t in found.tables if isinstance(t, Table)],
                "figures": pictures,
                "missing": list(dict.fromkeys((m.section, m.reason) for m in missing)),
                "notes": found.notes,
                "provenance": {k.replace("_", " "): v for k, v in data.provenance(sweep.ds).items() if k != "fixed"},
            }
        )
    environment = _environment()
    environment.globals |= {"effect": claim_effect, "more": lambda c: c.more_text}
    environment.globals["verdict_class"] = lambda c: slug(c.verdict).lower()
    paths = [paths] if isinstance(paths, (str, Path)) else paths
    return environment.get_template("study.html").render(
        title=title or module.TITLE,
        paper=module.PAPER,
        blocks=blocks,
        files=[Path(p).name for p in paths],
        selection=figures._epoch_note(results[0][0]) if results else "",
        choice=module.CHOICE,
        min_seeds=MIN_SEEDS,
        power=round(100 * POWER),
    )


def claim_effect(c: Claim) -> str:
    """Effect and interval of a claim as text; "" where the sweep has none."""
    if not c.n or not math.isfinite(c.effect):
        return ""
    number = _signed(c.unit)
    unit = f" {c.unit}" if c.unit else ""
    tail = f" [{number(c.low)}, {number(c.high)}]" if c.n > 1 else ""
    bound = f"; bound {number(c.bound)}" if c.bound else ""
    return f"{number(c.effect)}{unit}{tail}{bound}"


def print_summary(results, width=80, file=None):
    """The verdicts in a terminal: keys and verdicts in columns, what was found beside them, below if that is narrow."""
    width = max(60, min(width, shutil.get_terminal_size((width, 24)).columns if file is None else width))

    def say(text, lead=""):
        for line in textwrap.wrap(text, width, initial_indent=lead, subsequent_indent=" " * len(lead)) or [lead]:
            print(line.rstrip().replace("\u00a0", " "), file=file)

    def whole(text):  # textwrap breaks at ordinary blanks only
        return text.replace(" ", "\u00a0")

    claims = [c for _, found in results for c in found.claims]
    shown = [c for c in claims if c.verdict != NOT_IN_SWEEP]
    key_width, verdict_width = (max((len(getattr(c, of)) for c in shown), default=0) for of in ("key", "verdict"))
    beside = width - key_width - verdict_width >= 36
    for sweep, found in results:
        for where in dict.fromkeys(c.where for c in found.claims):
            say(", ".join(t for t in (sweep.name, where) if t))
            mine = [c for c in found.claims if c.where == where]
            for c in mine:
                if c.verdict == NOT_IN_SWEEP:
                    continue
                head = f"  {c.key:<{key_width}}  {c.verdict:<{verdict_width}}  "
                effect = re.sub(r"\[.*\]", lambda m: whole(m[0]), claim_effect(c).replace("−", "-"))
                text = ", ".join(t for t in (effect, f"n={c.n}" if c.n else "", whole(c.more_text)) if t)
                if beside:
                    say(text, head)
                else:
                    say("", head)
                    say(text, "      ")
            keys = ", ".join(whole(c.key) for c in mine if c.verdict == NOT_IN_SWEEP)
            if keys:
                say(keys, f"  {NOT_IN_SWEEP}: ")
    counts = [(v, sum(c.verdict == v for c in claims)) for v in VERDICTS]
    say(", ".join(f"{v}: {n}" for v, n in counts if n) or "no claim")
