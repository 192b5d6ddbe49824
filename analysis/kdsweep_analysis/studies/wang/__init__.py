"""Wang, Narasimhan, Zhou, Hooker, Lukasik, Menon: Robust Distillation for Worst-Class Performance, UAI 2023
(methods.md 2): its tables, its figures and its conclusions.

Words of the paper's tables: none (the teacher itself), std-d, bal-d, rob-d (students), t-val and o-val (the multipliers
of a robust student follow the teacher's labels of the validation examples, or their true ones). a_t and a_s: the
trade-off (1 - a) balanced + a robust of teacher and student; a = 0 is balanced, a = 1 robust.
"""

from __future__ import annotations

from ...classes import BALANCED
from ..common import Findings, Skipped
from . import claims, figures, tables
from .view import View

TITLE = "Robust distillation for worst-class performance: the study repeated"
PAPER = (
    "After Wang, Narasimhan, Zhou, Hooker, Lukasik and Menon: Robust Distillation for Worst-Class Performance, UAI "
    "2023 (PMLR 216:2237-2247)."
)
CHOICE = (
    "What is compared in a claim is chosen on validation from the other seeds; in tables and figures it is chosen on "
    "validation from all seeds."
)
SELECTION = "last"  # the paper takes the last iterate


def build(sweep) -> Findings:
    out = Findings()
    views = [View(sweep, scenario) for scenario in sweep.scenarios]
    if not any(c.n for c in sweep.configurations):
        out.tables.append(Skipped("All tables", "no trial is finished yet"))
        return out
    for view in views:
        out.tables += [tables.objective_table(view), tables.selected_table(view), tables.pareto_table(view)]
    out.tables += [tables.ada_table(views), tables.group_dro_table(views)]
    for view in views:
        out.figures += [figures.matrix_figure(view), figures.pareto_figure(view)]
        out.figures += [figures.trajectory_figure(view), figures.calibration_figure(view)]
        out.claims += claims.judge_all(view)
    out.notes = _notes(views)
    return out


def _notes(views):
    meant = (
        "(i) a mix has exactly one robust objective. (iii) the trend is Kendall's tau within a seed, averaged over the "
        f"other coordinate; almost monotone is a tau beyond {claims.MONOTONE:g}, at most one pair in five out of "
        "order; even trade-offs are judged by the mean of worst class and average; (iii c) asks whether a_t = 1 is "
        f"rarer on the fronts than in the grid. (iv) sufficing is read as at most {100 * claims.SUFFICES:.0f} point "
        f"worse. Classes are balanced where the largest has less than {BALANCED:g} times the training examples of the "
        "smallest. (v) is looked at only with at least 100 classes and a ratio of at least 50; 0 is read as below 1 %. "
        "These readings are ours."
    )
    numbers = (
        "They do not always agree with each other: the rows of CIFAR-100 differ between its table 1 and the "
        "supplement's; standard distillation on CIFAR-10-LT has a worst class of 36.67 with one teacher (supplement, "
        "table 1) and 60.12 in table 2 (that of ten teachers); AdaMargin, AdaAlpha and Group DRO on TinyImageNet "
        "differ between table 2 and the supplement's tables 4 and 5."
    )
    notes = [("What the paper's words mean here", meant)]
    return notes + ([("The paper's own numbers", numbers)] if any(v.data for v in views) else [])
