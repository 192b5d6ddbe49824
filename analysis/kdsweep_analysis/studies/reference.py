"""Numbers of the papers as data, in percent as printed, each with the table it stands in.

They are shown beside those of a sweep only where the data set is the same (data_key): CIFAR-10 or CIFAR-100, balanced
or with an exponential long tail of ratio 100. Networks and schedule of a sweep may differ; captions say so. What the
papers do not print is not here. Tables keep their rows, however long.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

__all__ = ["Number", "WANG", "data_key", "find", "wang"]


@dataclass(frozen=True)
class Number:
    table: str  # "supplement, table 1"
    data: str  # cifar10, cifar100, tinyimagenet; -lt with the long tail
    networks: str  # "resnet56 -> resnet56"
    method: str  # row
    teacher: str  # standard, balanced, robust; "" without a teacher
    worst: float  # percent; the worst ten classes for tinyimagenet-lt
    worst_error: float  # standard error of the mean, NaN where none is printed
    average: float
    average_error: float
    a: tuple = ()  # (a_t, a_s)

    def text(self):
        """ "worst ± s.e. (average ± s.e.)", as in the paper's tables."""
        return f"{self.worst_text()} ({self.average_text()})"

    def worst_text(self):
        return _pm(self.worst, self.worst_error)

    def average_text(self):
        return _pm(self.average, self.average_error)


def _pm(value, error):
    return f"{value:.1f}" if math.isnan(error) else f"{value:.1f} ± {error:.1f}"


_VALUE = r"(-?\d*\.?\d+)(?:±(\d*\.?\d+))?"


def _pair(text):
    """ "86.48±.32 (93.74±.05)" -> worst, error, average, error."""
    match = re.fullmatch(rf"{_VALUE} \({_VALUE}\)", text.replace("*", "").strip())
    return tuple(math.nan if g is None else float(g) for g in match.groups())


_TEACHER = {"std": "standard", "bal": "balanced", "rob": "robust"}
_DATA = {"C10": "cifar10", "C100": "cifar100", "Tiny": "tinyimagenet"}
_DATA |= {f"{k}LT": f"{v}-lt" for k, v in list(_DATA.items())}
_SELF, _SMALLER = "resnet56 -> resnet56", "resnet56 -> resnet32"


def _networks(data, networks):
    return "resnet18 -> resnet18" if data.startswith("tiny") else networks


def _grid(table, networks, text):
    """A table of the paper: the first line names data and teacher of each column, the others are methods."""
    lines = [[c.strip() for c in line.strip().strip("|").split("|")] for line in text.strip().splitlines()]
    columns = [c.split() for c in lines[0][1:]]
    out = []
    for method, *cells in lines[1:]:
        for (data, teacher), cell in zip(columns, cells, strict=True):
            data = _DATA[data]
            out.append(Number(table, data, _networks(data, networks), method, _TEACHER[teacher], *_pair(cell)))
    return out


# ---- Wang et al. 2023 (methods.md 2.8) ----------------------------------------------------------------------------

_MAIN_1 = """
| student | C10 std | C10 rob | C100 std | C100 rob | Tiny std | Tiny rob |
| none | 86.48 (93.74) | 90.09 (92.67) | 42.22 (72.42) | 43.42 (68.81) | 8.42 (56.79) | 11.87 (48.40) |
| std-d | 87.66 (94.34) | 90.12 (94.07) | 43.81 (74.61) | 45.33 (73.67) | 6.32 (57.83) | 10.53 (55.36) |
| rob-d | 90.94 (92.54) | 85.14 (89.58) | 42.96 (68.71) | 27.59 (54.79) | 9.98 (49.84) | 16.58 (46.11) |
"""
_SUPPLEMENT_1 = """
| student | C10 std | C10 rob | C100 std | C100 rob | Tiny std | Tiny rob |
| none | 86.48±.32 (93.74±.05) | 90.09±.22 (92.67±.09) | 42.22±.90 (72.42±.16) | 43.42±1.03 (68.81±.11) | 8.42±1.88 (56.79±.33) | 11.87±1.74 (48.40±.15) |
| std-d | 87.66±.40 (94.34±.07) | 90.12±.23 (94.07±.07) | 43.81±.58 (74.61±.15) | 48.20±1.15 (73.23±.07) | 6.32±2.31 (57.83±.13) | 10.53±1.49 (55.36±.16) |
| rob-d t-val | 90.94±.16 (92.54±.05) | 85.14±.47 (89.58±.11) | 39.18±1.58 (63.49±.29) | 30.42±1.30 (55.77±.39) | 9.98±1.87 (49.84±.21) | 16.58±1.23 (46.11±.37) |
| rob-d o-val | 89.37±.17 (91.63±.06) | 87.32±.21 (91.16±.10) | 44.61±1.55 (69.02±.30) | 42.68±.74 (62.03±.24) | 16.27±.43 (48.06±.24) | 17.36±1.32 (43.92±.30) |
"""
_SUPPLEMENT_1_LT = """
| student | C10LT std | C10LT bal | C10LT rob | C100LT std | C100LT bal | C100LT rob |
| none | 57.26±.55 (76.27±.20) | 68.52±.52 (79.85±.20) | 74.80±.30 (80.29±.12) | 0 (43.33±.16) | 3.75±.62 (47.55±.17) | 10.33±.82 (44.27±.13) |
| std-d | 36.67±.28 (69.50±.13) | 66.96±.43 (79.25±.10) | 71.15±.24 (80.95±.11) | 0 (43.86±.14) | 2.39±.24 (48.95±.15) | 7.32±.47 (47.93±.11) |
| bal-d | 71.23±.44 (80.50±.12) | 70.52±.20 (81.12±.08) | 72.96±.53 (80.71±.07) | 4.39±.65 (50.40±.11) | 7.08±.80 (50.10±.09) | 7.19±.79 (47.51±.20) |
| rob-d t-val | 63.85±.21 (76.81±.08) | 75.56±.19 (80.81±.08) | 69.21±.45 (76.72±.19) | 9.05±.71 (33.75±.10) | 12.52±.98 (34.05±.09) | 10.32±.76 (36.83±.15) |
| rob-d o-val | 73.59±.25 (77.92±.05) | 75.43±.38 (79.02±.07) | 74.70±.19 (77.99±.10) | 12.28±.46 (30.79±.18) | 11.94±.80 (29.80±.20) | 13.18±.61 (31.88±.20) |
"""
_SUPPLEMENT_1_TINY_LT = """
| student | TinyLT std | TinyLT bal | TinyLT rob |
| none | 0 (33.15±.17) | 2.11±.37 (35.96±.12) | 4.92±.66 (27.23±.15) |
| std-d | 0 (26.05±.18) | 0 (27.21±.15) | 1.87±.23 (25.34±.13) |
| bal-d | 0.20±.18 (30.43±.06) | 2.82±.14 (39.41±.15) | 4.77±.41 (38.41±.15) |
| rob-d t-val | 0 (22.66±.08) | 4.93±.38 (35.43±.18) | 3.32±.43 (25.11±.17) |
| rob-d o-val | 1.55±.37 (21.59±.19) | 6.11±.39 (28.24±.17) | 6.19±.25 (25.30±.18) |
"""
_SUPPLEMENT_2 = """
| student | C10 std | C10 rob | C100 std | C100 rob |
| std-d | 86.40±.27 (93.73±.05) | 89.56±.20 (93.38±.05) | 41.82±1.12 (73.19±.10) | 45.70±1.13 (71.42±.22) |
| rob-d t-val | 89.61±.27 (92.20±.08) | 83.80±.95 (88.71±.24) | 38.94±2.61 (62.28±.40) | 19.15 (52.90) |
| rob-d o-val | 87.92±.23 (90.89±.12) | 86.57±.24 (90.54±.11) | 33.19±1.29 (57.43±.29) | 41.23±.84 (61.14±.24) |
"""
_SUPPLEMENT_2_LT = """
| student | C10LT std | C10LT bal | C10LT rob | C100LT std | C100LT bal | C100LT rob |
| std-d | 57.23±.53 (75.76±.12) | 66.80±.25 (78.99±.06) | 72.36±.39 (80.74±.09) | 0 (44.33±.11) | 1.38±.39 (47.28±.13) | 7.99±.48 (47.34±.08) |
| bal-d | 71.37±.50 (81.13±.12) | 71.00±.45 (81.12±.15) | 72.17±.40 (79.91±.08) | 3.57±.58 (49.21±.10) | 4.28±.45 (46.56±.13) | 5.58±.53 (48.58±.09) |
| rob-d t-val | 64.10±.36 (76.34±.12) | 73.51±.33 (80.10±.10) | 69.90±.42 (76.37±.14) | 10.24±.71 (33.55±.16) | 13.41±.72 (33.37±.17) | 11.27±.61 (36.14±.19) |
| rob-d o-val | 72.65±.27 (77.69±.11) | 74.39±.34 (78.68±.16) | 74.45±.26 (77.97±.10) | 10.93±.65 (29.48±.22) | 12.20±.65 (30.27±.18) | 12.93±.62 (31.83±.17) |
"""
_SUPPLEMENT_3 = """
| student | C10 std | C10 rob | C100 std | C100 rob |
| std-d | 87.09±.51 (93.78±.22) | 89.68±.20 (93.74±.07) | 44.21±.57 (74.60±.11) | 47.79±.82 (73.48±.11) |
| rob-d t-val | 90.62±.19 (92.58±.08) | 87.12±.38 (90.46±.08) | 39.70±1.32 (64.28±.41) | 31.09±1.21 (55.39±.28) |
| rob-d o-val | 88.15±.66 (91.03±.47) | 86.44±.52 (90.16±.42) | 39.44±.94 (61.23±.36) | 39.65±.59 (60.89±.29) |
"""
_SUPPLEMENT_3_LT = """
| student | C10LT std | C10LT bal | C10LT rob | C100LT std | C100LT bal | C100LT rob |
| std-d | 60.12±.56 (77.39±.10) | 66.13±.47 (79.16±.20) | 69.75±.52 (80.73±.08) | 0 (45.84±.13) | 1.41±.41 (49.67±.20) | 9.17±.74 (48.55±.14) |
| bal-d | 72.41±.52 (81.97±.11) | 71.49±.30 (81.20±.15) | 71.70±.33 (80.29±.11) | 5.83±.54 (50.58±.15) | 5.94±.50 (50.85±.14) | 8.37±.72 (48.16±.20) |
| rob-d t-val | 62.77±.58 (77.18±.15) | 73.09±.34 (80.03±.22) | 68.04±.47 (75.36±.25) | 10.53±.76 (33.69±.14) | 12.04±.89 (34.08±.12) | 9.66±1.15 (37.10±.15) |
| rob-d o-val | 75.10±.36 (79.27±.13) | 75.10±.50 (79.07±.20) | 74.16±.34 (78.11±.14) | 10.74±.44 (30.36±.39) | 11.95±.69 (31.00±.16) | 12.87±.81 (31.62±.34) |
"""
_SUPPLEMENT_4 = """
| method | C10 std | C10 rob | C100 std | C100 rob | Tiny std | Tiny rob |
| AdaAlpha | 88.33±.14 (94.31±.01) | 89.96±.44 (93.97±.07) | 43.50±.62 (73.96±.09) | 45.59±.82 (71.42±.14) | 11.11±1.29 (61.13±.09) | 16.58±1.67 (56.84±.15) |
| AdaMargin | 87.36±.06 (94.25±.02) | 90.37±.26 (94.02±.12) | 43.91±1.11 (73.58±.11) | 47.78±.96 (70.92±.09) | 18.17±3.89 (61.30±.28) | 17.84±1.77 (55.77±.32) |
"""
_SUPPLEMENT_4_LT = """
| method | C10LT std | C10LT bal | C10LT rob | C100LT std | C100LT bal | C100LT rob |
| AdaAlpha | 41.90±.44 (71.67±.08) | 66.23±.39 (77.87±.16) | 71.17±.32 (79.66±.13) | 0 (42.52±.08) | 1.46±.61 (45.44±.14) | 9.15±.54 (45.64±.11) |
| AdaMargin | 47.52±.95 (72.69±.24) | 66.74±.35 (78.20±.09) | 70.33±.50 (78.87±.12) | 0 (31.26±.21) | 0 (34.06±.12) | 12.46±.36 (42.90±.07) |
"""
_SUPPLEMENT_4_TINY_LT = """
| method | TinyLT std | TinyLT bal | TinyLT rob |
| AdaAlpha | 0 (28.14±.12) | 0 (0.50) | 0 (0.50) |
| AdaMargin | 0 (9.18±.09) | 0 (7.92±.10) | 0.41±.17 (23.08±.15) |
"""
# average / worst, unlike the others
_MAIN_2 = """
| selected a_t, a_s | 94.28±.06 / 90.11±.23 | 73.22±.26 / 48.40±1.47 | 58.09±.13 / 9.47±1.76 | 79.02±.08 / 75.43±.39 | 43.94±.16 / 14.52±.68 | 26.91±.16 / 6.04±.25 |
| standard distillation | 94.34±.07 / 87.66±.40 | 74.61±.15 / 43.81±.58 | 57.83±.13 / 6.32±2.31 | 77.39±.10 / 60.12±.56 | 46.01±.16 / 0 | 26.05±.18 / 0 |
| post shift | 92.16±.18 / 88.60±.35 | 61.22±.36 / 38.19±.40 | 43.02±.79 / 14.39±1.13 | 78.28±.05 / 74.33±.09 | 29.88±.61 / 10.01±.72 | 21.32±.49 / 2.58±.42 |
| robust student | 92.72±.05 / 89.90±.21 | 68.45±.13 / 43.62±1.27 | 48.06±.24 / 16.27±.43 | 80.05±.13 / 74.91±.24 | 30.79±.18 / 12.28±.46 | 21.59±.19 / 1.55±.37 |
| balanced student | - | - | - | 81.36±.14 / 71.60±.38 | 50.40±.12 / 4.39±.66 | 30.43±.06 / 0.20±.18 |
| AdaMargin | 93.69±.06 / 88.42±.36 | 73.58±.11 / 43.91±1.11 | 52.45±.08 / 15.41±.71 | 72.69±.24 / 47.52±.95 | 31.26±.21 / 0 | 4.41±.09 / 0 |
| AdaAlpha | 94.31±.01 / 88.33±.14 | 74.15±.08 / 45.46±.67 | 57.22±.08 / 7.62±2.17 | 70.83±.28 / 43.64±1.09 | 42.52±.08 / 0 | 27.95±.14 / 0 |
| Group DRO | 92.34±.07 / 89.32±.21 | 65.18±.08 / 43.89±1.12 | 48.78±.21 / 11.38±1.79 | 74.39±.17 / 59.93±.59 | 40.47±.17 / 0.19±.17 | 27.78±.13 / 0 |
"""
_MAIN_2_DATA = ("cifar10", "cifar100", "tinyimagenet", "cifar10-lt", "cifar100-lt", "tinyimagenet-lt")
# (a_t, a_s) that the paper's Table 2 selects
SELECTED = {
    "cifar10": (0.25, 0.0),
    "cifar10-lt": (0.25, 0.5),
    "cifar100": (1.0, 0.0),
    "cifar100-lt": (0.75, 0.5),
    "tinyimagenet": (0.25, 0.0),
    "tinyimagenet-lt": (1.0, 0.75),
}
# Figures 2 to 4 of the supplement: (a_t, a_s) average / worst on test, Pareto-efficient
_PARETO = {
    ("cifar10", _SELF): "(.75,.25) 93.81±.07/90.68±.20; (.5,.25) 93.82±.09/90.54±.22; (.25,.25) 93.87±.08/90.50±.18; "
    "(1,0) 94.07±.07/90.12±.23; (.75,0) 94.25±.05/90.00±.17; (.25,0) 94.34±.06/89.10±.31",
    ("cifar100", _SELF): "(1,.25) 70.45±.16/48.99±.72; (1,0) 73.23±.07/48.20±1.15; (.25,0) 74.57±.12/46.99±1.09; "
    "(.25,0) 74.59±.09/44.37±.58; (0,0) 74.61±.15/43.81±.58",
    ("tinyimagenet", ""): "(.5,.75) 51.88±.18/19.29±1.27; (.75,.5) 53.60±.31/18.98±.86; (.25,.25) 56.99±.14/18.83±.85; "
    "(0,.25) 57.26±.15/14.44±.91; (.75,0) 57.35±.17/9.47±1.76; (.5,0) 57.74±.20/8.22±1.09",
    ("cifar10-lt", _SELF): "(.75,.75) 80.86±.09/75.58±.17; (.75,.5) 81.12±.11/75.52±.22; (0,.75) 81.40±.10/75.15±.38; "
    "(0,.5) 81.82±.11/75.13±.24; (0,.25) 81.89±.08/73.09±.32; (0,0) 81.94±.16/70.61±.39",
    ("cifar100-lt", _SELF): "(.75,.5) 41.91±.15/16.08±.52; (0,.5) 43.82±.14/16.06±.89; (.25,.25) 48.01±.09/15.52±.41; "
    "(.25,.25) 48.20±.11/15.26±.73; (.5,0) 50.41±.11/7.49±.72; (.75,0) 50.57±.18/5.55±.54",
    ("tinyimagenet-lt", ""): "(1,.25) 36.28±.17/7.98±.21; (.75,.25) 37.62±.15/6.25±.12; (0,.25) 38.44±.13/5.90±.45; "
    "(.5,0) 39.29±.09/4.17±.34; (.25,0) 39.57±.06/3.68±.30",
    ("cifar10", _SMALLER): "(0,.25) 93.08±.07/89.85±.22; (1,0) 93.38±.05/89.56±.20; (.75,0) 93.58±.09/88.91±.25; (1,0) "
    "93.59±.06/88.88±.36; (.75,0) 93.61±.05/88.44±.33; (.25,0) 93.74±.07/88.41±.32",
    ("cifar100", _SMALLER): "(.75,.25) 70.42±.14/48.57±.55; (.75,0) 72.84±.22/45.74±1.57; (.75,0) 72.97±.18/43.73±1.72",
}
# Baselines of the same figures for the smaller student, average / worst
_SMALLER_BASELINES = {
    "cifar10": {
        "standard distillation": "93.71±.05/86.98±.36",
        "robust student": "91.57±.08/88.57±.18",
        "AdaMargin": "92.09±.09/83.57±.64",
        "AdaAlpha": "93.52±.11/85.41±.45",
    },
    "cifar100": {
        "standard distillation": "73.19±.10/41.82±1.12",
        "robust student": "65.17±.11/40.87±.89",
        "AdaMargin": "71.92±.17/42.22±1.65",
        "AdaAlpha": "72.93±.09/41.50±1.14",
    },
}
# worst (average), without and with validation
_SUPPLEMENT_5 = {
    "cifar10": ("86.65±.49 (93.61±.09)", "89.32±.21 (92.34±.07)"),
    "cifar100": ("40.35±1.18 (70.25±.17)", "43.89±1.12 (65.18±.08)"),
    "tinyimagenet": ("0 (6.55±.41)", "9.17±1.55 (47.67±.22)"),
    "cifar10-lt": ("51.59±2.49 (71.94±.75)", "59.93±.59 (74.39±.17)"),
    "cifar100-lt": ("0 (39.81±.23)", "0.19±.17 (40.47±.17)"),
    "tinyimagenet-lt": ("0 (9.79±.40)", "0 (22.49±.10)"),
}


def _slash(text):
    """ "94.28±.06 / 90.11±.23" (average / worst) -> worst, error, average, error."""
    average, worst = (re.fullmatch(_VALUE, part.strip()).groups() for part in text.split("/"))
    return tuple(math.nan if g is None else float(g) for g in (*worst, *average))


def _wang():
    one, two, three = ("supplement, table 1", "supplement, table 2", "supplement, table 3")
    out = _grid("table 1", _SELF, _MAIN_1)
    for table, networks, texts in (
        (one, _SELF, (_SUPPLEMENT_1, _SUPPLEMENT_1_LT, _SUPPLEMENT_1_TINY_LT)),
        (two, _SMALLER, (_SUPPLEMENT_2, _SUPPLEMENT_2_LT)),
        (three, _SELF, (_SUPPLEMENT_3, _SUPPLEMENT_3_LT)),
        ("supplement, table 4", _SELF, (_SUPPLEMENT_4, _SUPPLEMENT_4_LT, _SUPPLEMENT_4_TINY_LT)),
    ):
        for text in texts:
            out += _grid(table, networks, text)
    for line in _MAIN_2.strip().splitlines():
        method, *cells = [c.strip() for c in line.strip("|").split("|")]
        for data, cell in zip(_MAIN_2_DATA, cells, strict=True):
            if cell != "-":
                a = SELECTED[data] if method.startswith("selected") else ()
                out.append(Number("table 2", data, _networks(data, _SELF), method, "", *_slash(cell), a))
    for data, cells in _SUPPLEMENT_5.items():
        for method, cell in zip(("Group DRO, no validation", "Group DRO, with validation"), cells):
            out.append(Number("supplement, table 5", data, _networks(data, _SELF), method, "", *_pair(cell)))
    for (data, networks), text in _PARETO.items():
        for item in text.split(";"):
            at, _, values = item.strip().partition(" ")
            a = tuple(float(v) for v in at.strip("()").split(","))
            where = "supplement, figures 2 to 4"
            out.append(Number(where, data, _networks(data, networks), "trade-off", "", *_slash(values), a))
    for data, baselines in _SMALLER_BASELINES.items():
        for method, text in baselines.items():
            out.append(Number("supplement, figures 2 to 4", data, _SMALLER, method, "", *_slash(text)))
    return tuple(out)


WANG = _wang()


def wang(**what) -> list[Number]:
    """The numbers of Wang et al. with these fields."""
    return [n for n in WANG if all(getattr(n, k) == v for k, v in what.items())]


def find(**what) -> Number | None:
    """The first of them."""
    return next(iter(wang(**what)), None)


def data_key(source, ratio, profile="exponential", labels="fine") -> str:
    """Name of a data set in this file, or "" when no paper has it."""
    if source not in ("cifar10", "cifar100") or (source == "cifar100" and labels not in ("", "fine")):
        return ""
    try:
        ratio = float(ratio)
    except (TypeError, ValueError):
        return ""
    if ratio == 1:
        return source
    return f"{source}-lt" if ratio == 100 and profile in ("", "exponential") else ""


# ---- Mohammadshahi and Ioannou 2025 (methods.md 3.8) --------------------------------------------------------------

# Of the pairs that kdsweep can train; values in percent, mean and standard deviation over five seeds. A row is
# "teacher", "NDS" (student without a teacher) or the temperature of a distilled student.


@dataclass(frozen=True)
class Cell:
    value: float
    sd: float = math.nan  # NaN where none is printed
    approximate: bool = False  # read off a figure

    def text(self, digits=2):
        mean = f"{self.value:.{digits}f}" + ("" if math.isnan(self.sd) else f" ± {self.sd:.{digits}f}")
        return f"about {mean}" if self.approximate else mean


def _rows(columns, text):
    """Lines "row | cell | cell ..." -> row -> column -> Cell; "-" is nothing."""
    out = {}
    for line in text.strip().splitlines():
        name, *cells = [c.strip() for c in line.split("|")]
        row = name if name in ("teacher", "NDS") else float(name)
        out[row] = {}
        for column, text_of in zip(columns, cells, strict=True):
            if text_of == "-":
                continue
            value, sd = re.fullmatch(_VALUE, text_of.lstrip("~")).groups()
            out[row][column] = Cell(float(value), math.nan if sd is None else float(sd), text_of.startswith("~"))
    return out


# (data set, networks) -> row -> "accuracy", "SC", "TC"; table 1, T > 10 read off figure 8
CLASS_BIAS = {
    ("cifar100", "resnet56 -> resnet20"): _rows(
        ("accuracy", "SC", "TC"),
        """
        teacher | 70.87±.21 | - | -
        NDS | 68.39±.17 | - | -
        2 | 68.63±.24 | 5 | 15
        3 | 68.92±.21 | 7 | 12
        4 | 69.18±.19 | 8 | 9
        5 | 69.77±.22 | 9 | 8
        6 | 69.81±.15 | 9 | 8
        7 | 69.38±.18 | 10 | 6
        8 | 69.12±.21 | 13 | 6
        9 | 69.35±.27 | 18 | 9
        10 | 69.24±.19 | 22 | 11
        20 | ~69.26 | ~19 | ~13
        30 | ~69.05 | ~14 | ~15
        40 | ~68.62 | ~9 | ~16
        """,
    )
}
# (data set, networks) -> row -> "accuracy", "EOD", "DPD" (percent, table 2), "individual" (table 4); groups by colour
FAIRNESS = {
    ("trifeature", "resnet20 -> lenet5"): _rows(
        ("accuracy", "EOD", "DPD", "individual"),
        """
        teacher | 100±.00 | 0.00±.00 | 3.64±.00 | .0160
        NDS | 90.33±.07 | 2.81±.05 | 4.12±.08 | .0462
        1 | 92.70±.15 | 1.67±.04 | 3.75±.07 | .0422
        2 | 92.41±.08 | 1.60±.06 | 3.56±.05 | .0407
        3 | 92.66±.12 | 1.38±.02 | 3.52±.02 | .0393
        4 | 92.61±.17 | 1.32±.05 | 3.48±.03 | .0387
        5 | 93.13±.09 | 1.25±.00 | 3.41±.06 | .0384
        6 | 93.25±.12 | 1.27±.02 | 3.48±.03 | .0377
        7 | 92.85±.18 | 1.21±.03 | 3.37±.05 | .0356
        8 | 92.66±.13 | 1.15±.05 | 3.29±.06 | .0349
        9 | 93.18±.08 | 1.08±.03 | 3.22±.04 | .0341
        10 | 92.77±.16 | 1.01±.04 | 3.10±.02 | .0338
        """,
    )
}
