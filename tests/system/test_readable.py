"""The results file in other hands: xarray, netCDF-4 tools, h5dump and R see the names that the documentation says."""

import re
import shutil
import subprocess

import h5py
import numpy as np
import pytest
import xarray

from harness import SMALL, SMOKE, Program, StatusWatch, needs_mpi, wait_until, words

DIMENSIONS = {"trial": 32, "selection": 3, "split": 2, "class": 3, "predicted": 3, "epoch": 3, "example": 60}
VARIABLES = {  # interface.md
    "status": ("trial",),
    "row_crc": ("trial",),
    "role": ("trial",),
    "teacher_trial": ("trial",),
    "baseline_trial": ("trial",),
    "spec_id": ("trial",),
    "teacher_objective": ("trial",),
    "student_objective": ("trial",),
    "temperature": ("trial",),
    "imbalance_ratio": ("trial",),
    "seed": ("trial",),
    "teacher_model": ("trial",),
    "accuracy": ("trial", "selection", "split"),
    "balanced_accuracy": ("trial", "selection", "split"),
    "worst_class_accuracy": ("trial", "selection", "split"),
    "loss": ("trial", "selection", "split"),
    "worst_class": ("trial", "selection", "split"),
    "class_accuracy": ("trial", "selection", "split", "class"),
    "counts": ("trial", "selection", "split", "class", "predicted"),
    "prediction": ("trial", "selection", "example"),
    "label": ("example",),
    "train_loss": ("trial", "epoch"),
    "validation_accuracy": ("trial", "epoch"),
    "validation_worst_class_accuracy": ("trial", "epoch"),
    "wall_seconds": ("trial",),
    "cpu_seconds": ("trial",),
    "rank": ("trial",),
    "finished_at": ("trial",),
    "train_count": ("trial", "class"),
}
ATTRIBUTES = ("Conventions", "title", "kdsweep_schema", "kdsweep_version", "history")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Done, diverged and failed rows."""
    program = Program(tmp_path_factory.mktemp("results"))
    (program.folder / "small.cfg").write_text(SMALL, encoding="utf-8")
    program.run(
        "small.cfg",
        "--set",
        "seeds=[0]",
        "--set",
        "data.imbalance.ratio=[1,4]",
        "--set",
        "teacher.train.lr=[0.05,1000]",
        "--set",
        "teacher.train.momentum=0.99",
        "--set",
        "student.objective=standard",
        "--set",
        "student.temperature=[1,2,4]",
        "--set",
        "student.baseline=false",
        expect=4,
    )
    return program.folder / "small.h5"


@pytest.fixture(params=["h5netcdf", "netcdf4"])
def dataset(request, results):
    with xarray.open_dataset(results, engine=request.param) as opened:
        yield opened


def test_xarray_names(dataset):
    for name, size in DIMENSIONS.items():
        assert dataset.sizes[name] == size, name
    for name, dims in VARIABLES.items():
        assert dataset[name].dims == dims, name
        if name not in {"temperature", "seed", "imbalance_ratio"}:
            assert dataset[name].attrs.get("long_name"), f"{name} has no long_name"
    for name in ATTRIBUTES:
        assert name in dataset.attrs, name
    for name in ("grid_text", "grid_resolved"):
        assert name in dataset.variables
    assert 'name = "small";' in str(dataset["grid_text"].values)
    assert "student.temperature = [1, 2, 4]" in str(dataset["grid_resolved"].values)


def test_xarray_selects_by_name(dataset):
    picked = dataset.accuracy.sel(selection="last", split="test")
    assert picked.dims == ("trial",) and picked.sizes["trial"] == DIMENSIONS["trial"]
    done = dataset.status.values == 1
    assert ((picked.values[done] >= 0) & (picked.values[done] <= 1)).all()
    assert np.isnan(picked.values[~done]).all() and (~done).any(), "rows without a result must read NaN"
    assert list(dataset.selection.values) == ["last", "best_average", "best_worst"]
    assert list(dataset.split.values) == ["validation", "test"]
    assert list(dataset.epoch.values) == [1, 2, 3]


def test_xarray_strings_are_strings(dataset):
    for name in ("spec_id", "teacher_objective", "student_objective", "teacher_model", "selection", "split", "class"):
        values = dataset[name].values
        assert all(isinstance(v, str) for v in values.ravel().tolist()), f"{name}: {values.ravel()[:2]!r}"
    assert set(dataset.teacher_objective.values.tolist()) == {"standard", "robust"}
    assert all(re.fullmatch("[0-9a-f]{16}", v) for v in dataset.spec_id.values.tolist())
    assert len(set(dataset.spec_id.values.tolist())) == DIMENSIONS["trial"]


def test_xarray_numbers_agree(dataset):
    """Counts, predictions and ratios tell one story."""
    done = np.flatnonzero(dataset.status.values == 1)
    for trial in done:
        one = dataset.isel(trial=int(trial)).sel(selection="best_worst")
        counts = one.counts.sel(split="test").values
        label, prediction = dataset.label.values.astype(int), one.prediction.values.astype(int)
        table = np.zeros_like(counts)
        np.add.at(table, (label, prediction), 1)
        assert (counts == table).all()
        recall = np.diag(counts) / counts.sum(1)
        np.testing.assert_allclose(one.class_accuracy.sel(split="test").values, recall, rtol=1e-6)
        np.testing.assert_allclose(one.accuracy.sel(split="test").item(), np.trace(counts) / counts.sum(), rtol=1e-6)
        np.testing.assert_allclose(one.balanced_accuracy.sel(split="test").item(), recall.mean(), rtol=1e-6)
        np.testing.assert_allclose(one.worst_class_accuracy.sel(split="test").item(), recall.min(), rtol=1e-6)
        assert int(one.worst_class.sel(split="test")) == int(recall.argmin())


def test_xarray_flags(dataset):
    status = dataset.status.attrs
    assert str(status["flag_meanings"]).split() == ["missing", "done", "diverged", "failed"]
    assert [int(v) for v in status["flag_values"]] == [0, 1, 2, 3]
    assert set(dataset.status.values.tolist()) == {1, 2, 3}
    finished = dataset.finished_at.values
    assert np.issubdtype(finished.dtype, np.datetime64), "finished_at is a time"
    assert (abs(finished - np.datetime64("now")) < np.timedelta64(1, "h")).all()


def test_reasons(results):
    with h5py.File(results, "r") as file:
        reasons, status = words(file["reason"][...]), file["status"][...]
    for reason, state in zip(reasons, status.tolist(), strict=True):
        assert (reason == "") == (state == 1), (state, reason)


def test_ncdump(results):
    if not shutil.which("ncdump"):
        pytest.skip("no ncdump here (Debian: netcdf-bin)")
    done = subprocess.run(["ncdump", "-h", results], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name, size in DIMENSIONS.items():
        assert f"\t{name} = {size} ;" in done.stdout, name
    for name, dims in VARIABLES.items():
        assert re.search(rf"\t\w+ {name}\({', '.join(dims)}\) ;", done.stdout), f"{name}\n{done.stdout}"
    assert re.search(r"string spec_id\(trial\)", done.stdout) or re.search(r"char spec_id\(trial, ", done.stdout)
    for name in ATTRIBUTES:
        assert f"\t\t:{name} = " in done.stdout, name
    values = subprocess.run(
        ["ncdump", "-v", "temperature,teacher_objective,reason", results], capture_output=True, text=True, check=False
    )
    assert values.returncode == 0 and '"robust"' in values.stdout, values.stderr


def test_h5dump(results):
    if not shutil.which("h5dump"):
        pytest.skip("no h5dump here (Debian: hdf5-tools)")
    done = subprocess.run(["h5dump", "-H", results], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in VARIABLES:
        assert f'DATASET "{name}"' in done.stdout, name
    for name in ATTRIBUTES:
        assert f'ATTRIBUTE "{name}"' in done.stdout, name
    layout = subprocess.run(
        ["h5dump", "-p", "-H", "-d", "accuracy", results], capture_output=True, text=True, check=True
    ).stdout
    assert "CONTIGUOUS" in layout and "FILTERS {\n      NONE" in layout, "rows must be raw bytes at fixed places"


R_SCRIPT = {
    "hdf5r": """library(hdf5r)
file <- H5File$new(commandArgs(TRUE)[1], mode = "r")
accuracy <- file[["accuracy"]]$read(); objective <- file[["teacher_objective"]]$read()
cat(dim(accuracy), "\n"); cat(unique(objective), "\n")""",
    "rhdf5": """library(rhdf5)
accuracy <- h5read(commandArgs(TRUE)[1], "accuracy"); objective <- h5read(commandArgs(TRUE)[1], "teacher_objective")
cat(dim(accuracy), "\n"); cat(unique(objective), "\n")""",
}


@pytest.mark.parametrize("package", R_SCRIPT)
def test_r(results, package, tmp_path):
    if not shutil.which("Rscript"):
        pytest.skip("no Rscript here")
    if subprocess.run(["Rscript", "-e", f"library({package})"], capture_output=True, check=False).returncode != 0:
        pytest.skip(f"R has no package {package}")
    (tmp_path / "read.R").write_text(R_SCRIPT[package], encoding="utf-8")
    done = subprocess.run(["Rscript", tmp_path / "read.R", results], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    sizes, objectives = done.stdout.splitlines()[-2:]
    assert sizes.split() == ["2", "3", str(DIMENSIONS["trial"])]  # R counts dimensions from the other end
    assert set(objectives.split()) == {"standard", "robust"}


@needs_mpi
def test_live_file(kds):
    """While the sweep runs: status and xarray read it, again and again, and neither hurts the other."""
    running = kds.start(SMOKE, "-o", "smoke.h5", "--set", "train.epochs=60", "--progress", "none", np=2)
    watch = StatusWatch(kds.folder / "smoke.h5")
    wait_until(lambda: watch.n_finished() > 0 or not running.is_running(), "a finished row")
    seen = []
    while running.is_running():
        status = kds.run("status", "smoke.h5")
        found = re.search(r"^all +(\d+) +0 +0 +(\d+) +132$", status.out, re.M)
        assert found and int(found[1]) + int(found[2]) == 132, str(status)
        if running.is_running() and int(found[2]) > 0:
            seen.append((int(found[1]), "a sweep is at work on it" in status.out))
        with xarray.open_dataset(kds.folder / "smoke.h5", engine="h5netcdf") as dataset:
            done = dataset.status.values == 1
            # Read after status: whatever was done then has its values.
            assert np.isfinite(dataset.accuracy.values[done]).all()
    running.wait().expect(0)
    assert len(seen) >= 2, f"looked only {len(seen)} times while it was running"
    assert seen[0][1] and [n for n, _ in seen] == sorted(n for n, _ in seen), seen
    assert re.search(r"^complete$", kds.run("status", "smoke.h5").out, re.M)
