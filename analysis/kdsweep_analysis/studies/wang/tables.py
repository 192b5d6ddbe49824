"""The tables: objectives of teacher and student, trade-offs selected and efficient, AdaAlpha, AdaMargin, Group DRO."""

from __future__ import annotations

import pandas as pd

from ...figures import _spread_text, listed
from ...sweep import choose
from .. import reference
from ..common import Skipped, Table, cell, table_of
from .view import ROWS, decisions, front, methods, selected

_WORST_AVERAGE = "Worst-class test accuracy, average accuracy in parentheses, in %"


def _pair_text(c):
    if c is None:
        return "–"
    return f"{cell(c.summary('worst'))} ({cell(c.summary('average'))})"


def _record(view, c, paper=None, **what):
    """A row of numbers: where, `what`, and those of a configuration and of the paper."""
    record = view.keys | what
    record |= {"role": c.role, "teacher_objective": c.teacher_objective, "student_objective": c.student_objective}
    record |= {**c.tuned, "n": c.n, "n_planned": c.n_planned} | view.sweep.test_numbers(c)
    return record | _paper_record(paper)


def _paper_record(paper):
    if paper is None:
        return {}
    return {
        "paper_worst": paper.worst / 100,
        "paper_worst_se": paper.worst_error / 100,
        "paper_average": paper.average / 100,
        "paper_average_se": paper.average_error / 100,
        "paper_table": paper.table,
    }


def _ours(counts):
    return _spread_text(counts, "mean ± standard deviation (ddof 1) over seeds")


class _ByTeacher:
    """A table with two columns for each teacher: ours and, where the data are the same, the paper's."""

    def __init__(self):
        self.shown, self.numbers, self.counts = [], [], []

    def add(self, view, head, chosen, papers, **what):
        """A row from chosen[teacher] and papers[teacher]; none if nothing is chosen. `papers` None: no such column."""
        line = dict(head)
        for teacher in view.teacher_objectives():
            c, paper = chosen.get(teacher), (papers or {}).get(teacher)
            line[f"{teacher} teacher"] = _pair_text(c)
            if view.data and papers is not None:
                line[f"{teacher} teacher, paper"] = paper.text() if paper else "–"
            if c is not None:
                self.counts.append(c.n)
                self.numbers.append(_record(view, c, paper, **what, column=teacher))
        if any(c is not None for c in chosen.values()):
            self.shown.append(line)


def objective_table(view):
    section = view.title("Objectives of teacher and student")
    table, grid = _ByTeacher(), view.grid()
    for row in ROWS:
        chosen = {t: c for (r, t), c in grid.items() if r == row}
        table.add(view, {"student": row}, chosen, {t: view.paper_of_row(row, t) for t in chosen}, row=row)
    if not table.shown:
        return Skipped(section, "no teacher or student with the objectives standard, balanced or robust is finished")
    caption = (
        f"{_WORST_AVERAGE}; {_ours(table.counts)}. Columns: objective of the teacher; none: the teacher itself; no "
        "teacher: the student's network with the column's objective and true labels; t-val, o-val: multipliers from "
        "the teacher's labels of the validation examples, or from the true ones. Temperatures by the worst class on "
        "validation." + view.paper_note(view.grid_table)
    )
    if view.data and view.grid_table.endswith("3"):
        caption += " Row none: supplement, table 1."
    return Table(view.name("objectives"), section, caption, table_of(table.shown), pd.DataFrame(table.numbers))


def selected_table(view):
    section = view.title("Selected a_t, a_s against other methods")
    table = "supplement, figures 2 to 4" if view.smaller else "table 2"
    chosen = view.chosen_tradeoffs()
    held, free = selected(view)
    rows, why, missing = [], [], []  # rows: method, Summary of the worst class, of the average, text, numbers

    def add(method, c, text, **what):
        rows.append((method, c.summary("worst"), c.summary("average"), text, _record(view, c, method=method, **what)))

    def add_tradeoff(method, at):
        c = chosen[at]
        text = ", ".join(t for t in (f"a_t = {at[0]:g}, a_s = {at[1]:g}", c.tuned_text()) if t)
        add(method, c, text, a_t=at[0], a_s=at[1])

    if held is not None:
        add_tradeoff("selected a_t, a_s", held)
    if free is not None and free != held:
        add_tradeoff("best a_t, a_s by the worst class alone", free)
    if not chosen:
        why.append("The trade-off is not an axis of this sweep.")
    elif held is None:
        why.append("No a_t, a_s keeps the average accuracy of standard distillation on validation.")
    decided = decisions(view)
    for method, candidates in methods(view):
        c = choose(candidates).configuration
        if c is not None:
            add(method, c, c.tuned_text())
        else:
            missing.append(method)
        if method == "standard distillation" and not isinstance(decided, str):
            rows += [(*found, "", _decision_record(view, *found)) for found in decided]
    if isinstance(decided, str):
        why.append(f"Post shift: {decided}.")
    shown, numbers = [], []
    for method, worst, average, text, record in rows:
        paper = view.paper(table=table, method=method)
        line = {"method": method, "average": cell(average), "worst class": cell(worst), "n": str(worst.n)}
        line["chosen"] = text
        if view.data:
            line["average, paper"] = paper.average_text() if paper else "–"
            line["worst class, paper"] = paper.worst_text() if paper else "–"
        shown.append(line)
        numbers.append(record | _paper_record(paper))
    if not shown:
        return Skipped(section, "neither trade-offs nor any of the methods they are compared with are finished")
    if missing:
        why.append(f"Not in this sweep: {listed(missing)}.")
    how = [f"Test accuracy in %; {_ours(worst.n for _, worst, *_ in rows)}."]
    if chosen:
        how.append(
            "Selected: the largest worst-class accuracy on validation among the a_t, a_s whose average accuracy on "
            "validation is at least that of standard distillation minus its standard error."
        )
    if not isinstance(decided, str):
        how.append(
            "Post shift and the other decisions: no student, a standard teacher whose scores are reweighted, chosen on "
            "validation from the scores of the last epoch."
        )
    how.append("Everything else by the worst class on validation.")
    caption = " ".join([*how, *why]) + view.paper_note(table)
    if view.data and view.data in reference.SELECTED and table == "table 2":
        a = reference.SELECTED[view.data]
        caption += f" The paper selects a_t = {a[0]:g}, a_s = {a[1]:g}."
    return Table(view.name("selected"), section, caption, table_of(shown), pd.DataFrame(numbers))


def _decision_record(view, name, worst, average):
    record = view.keys | {"method": name, "n": worst.n}
    for measure, s in (("worst", worst), ("average", average)):
        record |= {f"test_{measure}_mean": s.mean, f"test_{measure}_sd": s.sd}
        record |= {f"test_{measure}_low95": s.low, f"test_{measure}_high95": s.high}
    return record


def pareto_table(view):
    section = view.title("Pareto-efficient a_t, a_s")
    chosen = view.chosen_tradeoffs()
    if not chosen:
        return Skipped(section, "the trade-off is not an axis of this sweep")
    held, free = selected(view)
    efficient = front(chosen)
    shown, numbers = [], []
    for at in efficient:
        c = chosen[at]
        line = {"a_t": f"{at[0]:g}", "a_s": f"{at[1]:g}", "average": cell(c.summary("average"))}
        line |= {"worst class": cell(c.summary("worst")), "n": str(c.n)}
        if at in (held, free):
            line["by validation"] = "selected" if at == held else "best worst class on validation"
        shown.append(line)
    for at, c in chosen.items():
        marks = {"a_t": at[0], "a_s": at[1], "on_front": at in efficient, "selected": at == held}
        numbers.append(_record(view, c, None, **marks))
    caption = (
        f"Test accuracy in %; {_ours(chosen[at].n for at in efficient)}. Efficient: no other a_t, a_s has a higher "
        f"mean in both; of {len(chosen)}. It describes the test means and was not used to choose anything. "
        "Temperatures by the worst class on validation."
    )
    if held is not None and held not in efficient:
        caption += f" What validation selects, a_t = {held[0]:g} and a_s = {held[1]:g}, is not among them."
    papers = view.paper_front()
    if papers:
        points = [f"({n.a[0]:g}, {n.a[1]:g}) {n.average_text()} / {n.worst_text()}" for n in papers]
        caption += f" Paper, average / worst: {'; '.join(points)}." + view.paper_note(papers[0].table)
    return Table(view.name("pareto"), section, caption, table_of(shown), pd.DataFrame(numbers))


def ada_table(views):
    section = "AdaAlpha and AdaMargin with each teacher"
    table, note, source = _ByTeacher(), "", "supplement, table 4"
    for view in views:
        teachers = view.teacher_objectives()
        for method, objective in (("AdaAlpha", "ada_alpha"), ("AdaMargin", "ada_margin")):
            chosen = {t: choose(view.students(t, objective)).configuration for t in teachers}
            papers = None if view.smaller else {t: view.paper(table=source, method=method, teacher=t) for t in teachers}
            table.add(view, _data(view) | {"method": method}, chosen, papers, method=method)
        if view.data and not view.smaller:
            note = view.paper_note(source)
    if not table.shown:
        return Skipped(section, "no AdaAlpha or AdaMargin student is finished")
    caption = f"{_WORST_AVERAGE}; {_ours(table.counts)}. Temperatures by the worst class on validation.{note}"
    return Table("ada_teachers", section, caption, table_of(table.shown, blank="–"), pd.DataFrame(table.numbers))


def _data(view):
    """Column that tells scenarios apart."""
    return {"data": view.text} if view.text else {}


def group_dro_table(views):
    section = "Group DRO"
    shown, numbers, counts, note, source = [], [], [], "", "supplement, table 5"
    names = {"train": "Group DRO, no validation", "validation": "Group DRO, with validation"}
    for view in views:
        which, found = "student", view.baselines("group_dro")
        if not found:
            which, found = "teacher", view.teachers("group_dro")
        fixed = view.sweep.fixed.get(f"{which}.group_dro.learn_on", "validation")
        for learns, name in names.items():
            mine = [c for c in found if str(view.sweep.value(c, f"{which}_dro_learns", fixed) or fixed) == learns]
            c = choose(mine).configuration
            if c is None:
                continue
            paper = view.paper(table=source, method=name)
            line = _data(view) | {"multipliers from": "training batches" if learns == "train" else "validation"}
            line |= {"worst (average)": _pair_text(c), "n": str(c.n)}
            if view.data and not view.smaller:
                line["paper"] = paper.text() if paper else "–"
                note = view.paper_note(source)
            shown.append(line)
            counts.append(c.n)
            numbers.append(_record(view, c, paper, method=name))
    if not shown:
        return Skipped(section, "no trial with the objective group_dro and without a teacher is finished")
    caption = f"{_WORST_AVERAGE}; {_ours(counts)}. Groups are the classes; true labels, no teacher.{note}"
    return Table("group_dro", section, caption, table_of(shown, blank="–"), pd.DataFrame(numbers))
