"""What is written beside the program agrees with it: the table of keys, the schema of the analysis, the grids and commands that are shown."""

import re
import subprocess
import sys

import pytest

from harness import BINARY, SOURCE

from kdsweep_analysis import schema


def keys_markdown():
    return subprocess.run([BINARY, "keys", "--markdown"], check=True, capture_output=True, text=True).stdout


def test_readme_of_sweeps_shows_the_key_table():
    text = (SOURCE / "sweeps" / "README.md").read_text(encoding="utf-8")
    assert keys_markdown() in text, "run: kdsweep keys --markdown, and put it at the end of sweeps/README.md"


def test_every_key_in_words_is_in_the_table():
    table = keys_markdown()
    named = set(re.findall(r"`((?:data|teacher|student|train|robust|store)\.[a-z_.]+[a-z])`", (SOURCE / "sweeps" / "README.md").read_text("utf-8")))
    keys = set(re.findall(r"^\| `([a-z_.]+)`", table, re.M))
    groups = {".".join(key.split(".")[:n]) for key in keys for n in range(1, key.count(".") + 1)}
    groups |= {f"{owner}.{group}" for owner in ("teacher", "student") for group in ("train", "robust")}
    assert len(keys) > 30
    assert named - keys - groups == set()


def test_schema_of_the_analysis_is_that_of_the_program(small_results):
    with schema.open_results(small_results) as file:
        assert schema.problems(file) == []


def test_first_grid_of_the_readme_plans(kds):
    text = (SOURCE / "README.md").read_text(encoding="utf-8")
    grid = re.search(r"```\n(name {3}= \"first\".*?)```", text, re.S).group(1)
    (kds.folder / "first.cfg").write_text(grid, encoding="utf-8")
    done = kds.run("expand", "first.cfg")
    # 2 ratios x 3 seeds: 2 teachers, 3 baselines, 2 x 3 x 3 students
    assert len(done.out.splitlines()) == 2 * 3 * (2 + 3 + 18)


@pytest.mark.parametrize("grid", sorted((SOURCE / "sweeps").glob("*.cfg")), ids=lambda path: path.name)
def test_shipped_grids_expand(kds, grid):
    n_trials = len(kds.run("expand", str(grid)).out.splitlines())
    row = re.search(rf"^\| `{grid.name}` \|.*\| ([\d,]+) trials \|", (SOURCE / "sweeps" / "README.md").read_text("utf-8"), re.M)
    assert row, f"sweeps/README.md has no row for {grid.name}"
    assert n_trials == int(row.group(1).replace(",", ""))


def test_report_from_the_checkout(small_results, tmp_path):
    script = SOURCE / "analysis" / "report.py"
    subprocess.run([sys.executable, str(script), str(small_results), "-o", str(tmp_path / "report")], check=True, capture_output=True)
    assert (tmp_path / "report" / "index.html").stat().st_size > 10_000
