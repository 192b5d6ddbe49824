"""diff: strict about every bit that is not timing, and silent about what may differ."""

import shutil

import h5py
import numpy as np
import pytest
from kdsweep_analysis.cli import main
from kdsweep_analysis.diff import diff
from make_results import make_results

SMALL = dict(ratios=(1.0, 100.0), seeds=(0, 1), temperatures=(1.0, 2.0), n_per_class=7, n_epochs=4, logits=True)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    path = tmp_path_factory.mktemp("diff") / "a.h5"
    make_results(path, groups=("x", "y"), missing=(5,), diverged=(9,), **SMALL)
    return path


@pytest.fixture
def copy(original, tmp_path):
    return shutil.copy(original, tmp_path / "b.h5")


def where(a, b):
    return [d.where for d in diff(a, b)]


def test_same(original, copy):
    assert where(original, copy) == []


def test_other_ranks_and_times_are_the_same(original, tmp_path):
    path = tmp_path / "b.h5"
    make_results(path, groups=("x", "y"), missing=(5,), diverged=(9,), n_ranks=3, timing_seed=9, **SMALL)
    with h5py.File(path, "r+") as f:
        with h5py.File(original) as a:
            f["reason"][9] = a["reason"][9]  # names the rank
        for name in ("history", "command", "hosts", "mpi", "compiler", "kdsweep_version"):
            f.attrs[name] = np.bytes_("something else")
    with h5py.File(original) as a, h5py.File(path) as b:
        assert (a["rank"][...] != b["rank"][...]).any() and (a["wall_seconds"][...] != b["wall_seconds"][...]).any()
    assert where(original, path) == []


def every_variable():
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.h5"
        make_results(
            path, groups=("x", "y"), ratios=(1.0,), seeds=(0,), temperatures=(1.0,), n_per_class=4, logits=True
        )
        with h5py.File(path) as f:
            timing = {n for n in f if "timing" in f[n].attrs}
            return sorted(set(f) - timing - {"reason_char", "host_char"})


@pytest.mark.parametrize("name", every_variable())
def test_one_changed_value_is_found(original, copy, name):
    """The last value of every variable, changed by as little as possible."""
    with h5py.File(copy, "r+") as f:
        d = f[name]
        if d.ndim == 0:
            d[()] = bytes(d[()]).replace(b"synthetic", b"Synthetic")
        elif d.dtype.kind == "f":
            flat = d[...]
            flat.flat[-1] = np.nextafter(flat.flat[-1], np.inf, dtype=d.dtype) if np.isfinite(flat.flat[-1]) else 1.0
            d[...] = flat
        elif h5py.check_string_dtype(d.dtype) and d.dtype.kind == "O":
            d[-1] = "changed"
        elif d.dtype.kind == "S":
            d[d.shape[0] - 1, 0] = b"X"
        else:
            flat = d[...]
            flat.flat[-1] += 1
            d[...] = flat
    assert where(original, copy) == [name]
    assert where(copy, original) == [name]


def test_signed_zero_and_nan(original, copy):
    with h5py.File(original) as f:
        assert np.isnan(f["accuracy"][5, 0, 0]) or f["status"][5] == 0
        i = int(np.flatnonzero(np.isnan(f["temperature"][...]))[0])
    with h5py.File(copy, "r+") as f:
        a = f["temperature"][...]
        a.view("u8")[i] = 0x7FF8000000000123  # another NaN
        f["temperature"][...] = a
    assert where(original, copy) == []
    with h5py.File(copy, "r+") as f:
        f["loss"][0, 0, 0] = 0.0
    with h5py.File(shutil.copy(copy, str(copy) + "2"), "r+") as f:
        f["loss"][0, 0, 0] = -0.0
    assert where(copy, str(copy) + "2") == ["loss"]


def test_rows_missing_in_both_may_hold_anything(original, copy):
    with h5py.File(copy, "r+") as f:
        assert f["status"][5] == 0
        f["loss"][5] = 3.0
        f["counts"][5] = 9
        f["reason"][5, 0] = b"x"
    assert where(original, copy) == []
    with h5py.File(copy, "r+") as f:
        f["status"][5] = 1
    assert where(original, copy) == ["counts", "loss", "reason", "status"]


def test_structure(original, copy):
    with h5py.File(copy, "r+") as f:
        del f["label"]
        f["extra"] = 1
        f.attrs["title"] = np.bytes_("another")
        f.attrs["new"] = 1
        f["loss"].attrs["units"] = np.bytes_("nats")
        values = f["multiplier"][...]
        del f["multiplier"]
        f["multiplier"] = values.astype("f8")
        f["wall_seconds"].attrs["timing"] = np.int32(0)
    found = where(original, copy)
    assert {"label", "extra", "attribute title", "attribute new", "loss: attribute units", "multiplier"} < set(found)
    assert "wall_seconds: attribute timing" in found


def test_message_tells_what(original, copy):
    with h5py.File(copy, "r+") as f:
        f["accuracy"][7, 1, 1] = 0.25
        f["accuracy"][8, 1, 0] = 0.25
    (found,) = diff(original, copy)
    with h5py.File(original) as f:
        before = str(f["accuracy"][7, 1, 1])
        n = f["status"].size
    assert found.what == f"2 of {n * 6} values differ, in 2 of {n} rows; first at [7, 1, 1]: {before} and 0.25"


def test_small_blocks_give_the_same_answer(original, copy, monkeypatch):
    monkeypatch.setattr("kdsweep_analysis.diff.BLOCK", 1)
    with h5py.File(copy, "r+") as f:
        f["accuracy"][7, 1, 1] = 0.25
    (found,) = diff(original, copy)
    assert found.what.startswith("1 of") and "first at [7, 1, 1]" in found.what


def test_exit_codes(original, copy, tmp_path, capsys):
    assert main(["diff", str(original), str(copy)]) == 0
    assert capsys.readouterr().out == ""
    with h5py.File(copy, "r+") as f:
        f["accuracy"][0, 0, 0] = 0.25
    assert main(["diff", str(original), str(copy)]) == 1
    assert capsys.readouterr().out.startswith("accuracy: 1 of")
    assert main(["diff", "-q", str(original), str(copy)]) == 1
    assert capsys.readouterr().out == ""
    assert main(["diff", str(original), str(tmp_path / "none.h5")]) == 3
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and "no such file" in captured.err and captured.out == ""
