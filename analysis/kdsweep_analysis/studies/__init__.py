"""Studies: the tables, figures and claims of one paper, from one or more results files.

A study is a module, or a package, in here with

    TITLE       one line for people
    PAPER       the citation
    CHOICE      one sentence: what is chosen on validation, and from which seeds
    SELECTION   which epoch is looked at unless the user says otherwise: last, best_average or best_worst
    build(sweep) -> common.Findings      of one data set (a common.StudySweep)

and a line in STUDIES. Everything else - reading and joining files, verdicts, the page, the terminal - is in common.
"""

from __future__ import annotations

import importlib

__all__ = ["STUDIES", "load_study"]

STUDIES = {
    "wang": "robust distillation: objectives of teacher and student, trade-offs (Wang et al. 2023)",
    "lukasik": "distillation and subgroups: rare classes, AdaAlpha, AdaMargin (Lukasik et al. 2022)",
    "mohammadshahi": "temperature, class bias and fairness (Mohammadshahi and Ioannou 2025)",
}


def load_study(name):
    """The module of a study; KeyError if there is none of that name."""
    if name not in STUDIES:
        raise KeyError(name)
    return importlib.import_module(f"{__name__}.{name}")
