"""The conclusions of the paper (methods.md 2.9), judged."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
from scipy import stats as _stats

from ...stats import paired_difference, pareto_front, summarize
from ...sweep import choose
from ..common import chosen_elsewhere, effect_text, jackknife, values_of, within_seeds
from .view import TEACHERS, front

SUFFICES = 0.01  # claim (iv): "suffices" is read as: at most so much worse
MONOTONE = 0.6  # claim (iii): "almost monotonically" is read as: at most one pair in five out of order
RARE = 0.01  # claim (v): "0 worst class" is read as: below this
NEAR = 0.5  # claim (iii): a_t and a_s up to this are "near 0.25"

_PAPER = {
    "i": "Robust objectives for teacher and student together are usually not best; some mix wins.",
    "ii": "The teacher with the best worst-class accuracy is often not the best teacher of a robust student.",
    "iii a": "Average accuracy falls almost monotonically as a_s grows.",
    "iii b": "a_t has no such hold on average accuracy.",
    "iii c": (
        "Pareto-efficient points have a_t < 1, says the supplement's text; its own lists hold a_t = 1 for CIFAR-10, "
        "CIFAR-100 and TinyImageNet-LT."
    ),
    "iii d": "The most even trade-offs are near a_t = a_s = 0.25.",
    "iv": "Labels of the teacher on validation often suffice for the multipliers of a robust student.",
    "v a": "On CIFAR-100-LT, methods with a standard teacher, neither balanced nor robust, have a worst class of 0.",
    "v b": "On CIFAR-100-LT, balanced and robust students of the standard teacher do better than that.",
}


def judge_all(view) -> list:
    out = []
    for n, judge in _JUDGES.items():
        number, _, letter = n.partition(" ")
        key = f"2.9 ({number}){' ' + letter if letter else ''}"
        out.append(judge(view, view.statement(key, "methods.md 2.9", _PAPER[n])))
    return out


def _listed(words, between):
    """What was chosen, most often first."""
    total = len(words)
    found = Counter(words).most_common()
    return between.join(word if n == total else f"{word} ({n} of {total} seeds)" for word, n in found)


def _names(chosen):
    return _listed(
        [f"{c.teacher_objective} teacher and {c.student_objective} student" for c, _ in chosen.values()], ", "
    )


def _percent(values):
    return f"{100 * summarize(values).mean:.1f} %"


def _of_common_seeds(a, b):
    """Two results of chosen_elsewhere, of the seeds that both have: what a difference within seeds is about."""
    return {s: v for s, v in a.items() if s in b}, {s: v for s, v in b.items() if s in a}


def _compare(a, b):
    """Summary of the worst class of the best of `a` minus that of the best of `b`, and what is chosen in both."""

    def effects(without=None):
        first, second = (chosen_elsewhere(of, without=without) for of in (a, b))
        return within_seeds(values_of(first), values_of(second))

    return jackknife(effects), *_of_common_seeds(chosen_elsewhere(a), chosen_elsewhere(b))


def claim_mix(view, says):
    both = view.students("robust", "robust")
    mixes = [
        c
        for t in TEACHERS
        for s in ("standard", "balanced", "robust")
        if (t == "robust") != (s == "robust")
        for c in view.students(t, s)
    ]
    if not both or not mixes:
        which = "No robust student of a robust teacher" if not both else "No mix of a robust and another objective"
        return says.absent(f"{which} is finished.")
    d, mix, both = _compare(mixes, both)
    found = (
        f"Worst class {_percent(values_of(mix))} with the best mix ({_names(mix)}), {_percent(values_of(both))} with "
        f"both robust: {effect_text(d)}."
    )
    return says.judged(found, d, measure="worst class, best mix minus both robust; paper: above 0")


def claim_teacher(view, says):
    objectives = [t for t in TEACHERS if view.students(t, "robust") and view.teachers(t)]
    if len(objectives) < 2:
        return says.absent("Fewer than two teacher objectives have a teacher and a robust student finished.")
    overall = choose([c for t in objectives for c in view.teachers(t)]).configuration.teacher_objective

    def found_without(seed_left_out):
        """seed -> (students' worst class from the best teacher, from the best other, these teachers)"""
        best = chosen_elsewhere([c for t in objectives for c in view.teachers(t)], without=seed_left_out)
        found = {}
        for objective in objectives:
            rest = [c for t in objectives if t != objective for c in view.students(t, "robust")]
            mine = chosen_elsewhere(view.students(objective, "robust"), without=seed_left_out)
            others = chosen_elsewhere(rest, without=seed_left_out)
            for seed, value in mine.items():
                teacher = best[seed][0].teacher_objective if seed in best else overall
                if teacher == objective and seed in others:
                    other = others[seed][0].teacher_objective
                    found[seed] = value[1]["worst"], others[seed][1]["worst"], teacher, other
        return found

    used = found_without(None)
    of_best, of_other = ({s: v[i] for s, v in used.items()} for i in (0, 1))
    d = jackknife(lambda without: {s: v[1] - v[0] for s, v in found_without(without).items()})
    if not d.n:
        return says.absent("No seed has robust students of two teachers.")
    teachers = _listed([v[2] for v in used.values()], " or ")
    other = _listed([v[3] for v in used.values()], " or ")
    found = (
        f"The {teachers} teacher has the best worst class; robust students reach {_percent(of_best)} from it and "
        f"{_percent(of_other)} from the best other one ({other}): {effect_text(d)}."
    )
    measure = "worst class of robust students, best other teacher minus the one that is best itself; paper: above 0"
    return says.judged(found, d, measure=measure)


def _slope(grid, which, measure="average"):
    """Mean over the other coordinate of Kendall's tau between a and accuracy; NaN with fewer than three values of a."""
    taus = []
    for other in sorted({at[1 - which] for at in grid}):
        points = sorted((at[which], v[measure]) for at, v in grid.items() if at[1 - which] == other)
        if len(points) >= 3:
            a, values = zip(*points)
            tau = _stats.kendalltau(a, values).statistic
            taus.append(0.0 if math.isnan(tau) else tau)
    return float(np.mean(taus)) if taus else math.nan


_NO_TRADEOFF = "The trade-off is no axis, has fewer than three values, or no seed has all of it."


def claim_a_s(view, says):
    grids = view.seed_grids()
    s = jackknife(lambda without: {seed: -_slope(g, 1) for seed, g in view.seed_grids(without).items()})
    if not s.n:
        return says.absent(_NO_TRADEOFF)
    ends = sorted({at[1] for g in grids.values() for at in g})
    first, last = (
        {seed: np.mean([v["average"] for at, v in g.items() if at[1] == a_s]) for seed, g in grids.items()}
        for a_s in (ends[0], ends[-1])
    )
    drop = paired_difference(first, last)
    found = (
        f"Kendall's tau of average accuracy with a_s is {-s.mean:+.2f} (-1: always falling); from a_s = {ends[0]:g} to "
        f"{ends[-1]:g} it loses {100 * drop.mean:.1f} points."
    )
    measure = f"minus Kendall's tau of average accuracy and a_s; almost monotone is read as above {MONOTONE:g}"
    return says.judged(found, s, measure=measure, bound=MONOTONE, unit="")


def claim_a_t(view, says):
    s = jackknife(lambda without: {seed: abs(_slope(g, 0)) for seed, g in view.seed_grids(without).items()})
    if not s.n:
        return says.absent(_NO_TRADEOFF)
    taus = np.array([(_slope(g, 0), _slope(g, 1)) for g in view.seed_grids().values()])
    taus = np.nanmean(taus, axis=0)
    found = f"Kendall's tau of average accuracy is {taus[0]:+.2f} with a_t and {taus[1]:+.2f} with a_s."
    measure = f"size of tau of average accuracy and a_t; not almost monotone is read as below {MONOTONE:g}"
    return says.judged(found, s, measure=measure, bound=MONOTONE, claimed="<", unit="")


def claim_front(view, says):
    a_t = {at[0] for g in view.seed_grids().values() for at in g}
    if 1 not in a_t or not min(a_t) < 1:
        return says.absent(_NO_TRADEOFF + " Or a_t = 1 is missing.")

    def share(grid):
        points = list(grid)
        efficient = pareto_front([grid[at]["average"] for at in points], [grid[at]["worst"] for at in points])
        mine = sum(points[i][0] == 1 for i in efficient) / len(efficient)
        return sum(at[0] == 1 for at in points) / len(points) - mine

    s = jackknife(lambda without: {seed: share(g) for seed, g in view.seed_grids(without).items()})
    efficient = front(view.chosen_tradeoffs())
    with_one = [at for at in efficient if at[0] == 1]
    found = f"{len(with_one)} of the {len(efficient)} points on the front of the means have a_t = 1" + (
        f" ({', '.join(f'a_s = {at[1]:g}' for at in with_one)})." if with_one else "."
    )
    measure = "share of a_t = 1 in the grid minus its share of a seed's front; paper: above 0"
    return says.judged(found, s, measure=measure, unit="")


def claim_even(view, says):
    points = {at for g in view.seed_grids().values() for at in g}
    near = {at for at in points if max(at) <= NEAR}
    if (0.25, 0.25) not in points or near == points:
        return says.absent(_NO_TRADEOFF + " Or a_t = a_s = 0.25 is missing.")

    def even(v):
        return (v["worst"] + v["average"]) / 2

    def advantage(g):
        return np.mean([even(g[at]) for at in near]) - np.mean([even(v) for at, v in g.items() if at not in near])

    s = jackknife(lambda without: {seed: advantage(g) for seed, g in view.seed_grids(without).items()})
    chosen = view.chosen_tradeoffs()
    top = max(chosen, key=lambda at: chosen[at].mean("worst", "validation") + chosen[at].mean("average", "validation"))
    found = (
        f"The largest mean of worst class and average on validation is at a_t = {top[0]:g}, a_s = {top[1]:g}; on test, "
        f"those with both up to {NEAR:g} differ from the others by {effect_text(s)}."
    )
    measure = f"mean of worst class and average, both a up to {NEAR:g} minus the others; paper: above 0"
    return says.judged(found, s, measure=measure)


def claim_validation(view, says):
    with_teacher = view.students(None, "robust", "teacher")
    one_hot = view.students(None, "robust", "one_hot")
    if not with_teacher or not one_hot:
        return says.absent("Robust students do not have both kinds of labels on validation.")
    common = {c.teacher_objective for c in with_teacher} & {c.teacher_objective for c in one_hot}
    d, a, b = _compare(*([c for c in of if c.teacher_objective in common] for of in (with_teacher, one_hot)))
    if not d.n:
        return says.absent("No teacher has robust students with both kinds of labels on validation in one seed.")
    parts = []
    for teacher in sorted(common):
        one, *_ = _compare(*([c for c in of if c.teacher_objective == teacher] for of in (with_teacher, one_hot)))
        if one.n:
            parts.append(f"{teacher} teacher {effect_text(one)}")
    found = (
        f"Each with its best teacher, worst class {_percent(values_of(a))} with the teacher's labels and "
        f"{_percent(values_of(b))} with true ones: {effect_text(d)}. By teacher: {'; '.join(parts)}."
    )
    measure = f"worst class, teacher's minus true labels; sufficing is read as above −{100 * SUFFICES:.0f} point"
    return says.judged(found, d, measure=measure, bound=-SUFFICES)


_PLAIN = ("standard", "ada_alpha", "ada_margin")


def _many_and_rare(view):
    return view.sweep.n_classes >= 100 and view.ratio >= 50


def claim_zero(view, says):
    if not _many_and_rare(view):
        return says.absent("Not a long-tailed data set of a hundred classes.")
    found = [c for s in _PLAIN for c in view.students("standard", s)]
    if not found:
        return says.absent("No such student is finished.")
    chosen = chosen_elsewhere(found)
    s = jackknife(lambda without: values_of(chosen_elsewhere(found, without=without)))
    text = f"Worst class {_percent(values_of(chosen))} with the best of them ({_names(chosen)})."
    measure = f"their worst class; 0 is read as below {100 * RARE:.0f} %"
    return says.judged(text, s, measure=measure, bound=RARE, claimed="<", unit="%")


def claim_not_zero(view, says):
    if not _many_and_rare(view):
        return says.absent("Not a long-tailed data set of a hundred classes.")
    d, fair, plain = _compare(
        [c for s in ("balanced", "robust") for c in view.students("standard", s)],
        [c for s in _PLAIN for c in view.students("standard", s)],
    )
    if not d.n:
        return says.absent("No such students are finished.")
    text = (
        f"Worst class {_percent(values_of(fair))} with the best of them ({_names(fair)}), {_percent(values_of(plain))} "
        f"with the best of the others: {effect_text(d)}."
    )
    return says.judged(text, d, measure="worst class, balanced or robust minus the others; paper: above 0")


_JUDGES = {
    "i": claim_mix,
    "ii": claim_teacher,
    "iii a": claim_a_s,
    "iii b": claim_a_t,
    "iii c": claim_front,
    "iii d": claim_even,
    "iv": claim_validation,
    "v a": claim_zero,
    "v b": claim_not_zero,
}
