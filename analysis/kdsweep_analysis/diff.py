"""Compare two results files bit for bit.

Equal means: the same variables with the same types, shapes, dimensions and attributes, and the same bits in every
value, but that any NaN equals any NaN. Left out are variables with the attribute timing = 1, root attributes that
tell how a file came about (schema.VOLATILE_ATTRIBUTES), and the values of rows that are missing in both files: such a
row may be half written.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import schema

__all__ = ["Difference", "diff"]

BLOCK = 1 << 26  # bytes read at once
_STRUCTURE = {
    "CLASS",
    "NAME",
    "DIMENSION_LIST",
    "REFERENCE_LIST",
    "_Netcdf4Dimid",
    "_Netcdf4Coordinates",
    "_NCProperties",
}
# Known for every row of a grid from the start, so compared in missing rows too.
_ALWAYS = {"status", "spec_id", "role", "teacher_trial", "baseline_trial"}


@dataclass(frozen=True)
class Difference:
    where: str  # "accuracy", "attribute title", "accuracy: attribute units"
    what: str

    def __str__(self):
        return f"{self.where}: {self.what}"


def diff(path_a, path_b) -> list[Difference]:
    """Everything that differs, in the order of names; empty when the files are the same."""
    out = []
    with schema.open_results(path_a) as a, schema.open_results(path_b) as b:
        volatile = {n for f in (a, b) for n in schema.decode_text(f.attrs.get("volatile_attributes", b"")).split()}
        _attributes(a.attrs, b.attrs, "", volatile | schema.VOLATILE_ATTRIBUTES, out)
        both_missing = None
        if a["status"].shape == b["status"].shape:
            status_a, status_b = a["status"][...], b["status"][...]
            both_missing = (status_a == schema.STATUS_MISSING) & (status_b == schema.STATUS_MISSING)
        for name in sorted({*a, *b}):
            if name not in b or name not in a:
                out.append(Difference(name, f"only in the {'first' if name in a else 'second'} file"))
                continue
            x, y = a[name], b[name]
            if _is_timing(x) and _is_timing(y):
                continue
            if x.dtype != y.dtype or x.shape != y.shape:
                out.append(Difference(name, f"{x.dtype}{x.shape} and {y.dtype}{y.shape}"))
                continue
            if schema.dimension_names(x) != schema.dimension_names(y):
                out.append(Difference(name, f"dimensions {schema.dimension_names(x)} and {schema.dimension_names(y)}"))
            _attributes(x.attrs, y.attrs, name, (), out)
            result = name in schema.VARIABLES and name not in _ALWAYS
            by_trial = schema.dimension_names(x)[:1] == ("trial",)
            skip = both_missing if result and by_trial else None
            found = _values(x, y, skip)
            if found is not None:
                out.append(Difference(name, found))
    return out


def _is_timing(dataset):
    return bool(np.asarray(dataset.attrs.get("timing", 0)).ravel()[0])


def _attributes(a, b, owner, volatile, out):
    prefix = f"{owner}: attribute " if owner else "attribute "
    for name in sorted({*a, *b} - _STRUCTURE - set(volatile)):
        if name not in a or name not in b:
            out.append(Difference(prefix + name, f"only in the {'first' if name in a else 'second'} file"))
            continue
        x, y = np.asarray(a[name]), np.asarray(b[name])
        same = x.dtype == y.dtype and x.shape == y.shape and not unequal(np.atleast_1d(x), np.atleast_1d(y)).any()
        if not same:
            out.append(Difference(prefix + name, f"{_short(a[name])} and {_short(b[name])}"))


def unequal(x, y):
    """Where two arrays of one type and shape differ in bits, NaN = NaN."""
    if x.dtype.kind == "f":
        bits = np.dtype(f"u{x.dtype.itemsize}")
        x, y = np.ascontiguousarray(x), np.ascontiguousarray(y)
        different = x.view(bits) != y.view(bits)
        if different.any():
            different &= ~(np.isnan(x) & np.isnan(y))
        return different
    return x != y


def _values(x, y, skip):
    """None when equal, else what differs. Reads a block of rows at a time."""
    if x.ndim == 0:
        return None if not unequal(np.atleast_1d(x[()]), np.atleast_1d(y[()])).any() else "text or value differs"
    n_rows = x.shape[0]
    row_bytes = max(1, x.nbytes // max(1, n_rows))
    step = max(1, BLOCK // row_bytes)
    n_different, rows, first = 0, set(), None
    for start in range(0, n_rows, step):
        rows_here = slice(start, min(n_rows, start + step))
        u, v = x[rows_here], y[rows_here]
        different = unequal(u, v)
        if skip is not None:
            different[skip[rows_here]] = False
        if not different.any():
            continue
        at = np.argwhere(different)
        n_different += len(at)
        rows.update((np.unique(at[:, 0]) + start).tolist())
        if first is None:
            i = tuple(at[0].tolist())
            first = f"first at [{', '.join(map(str, (i[0] + start, *i[1:])))}]: {_short(u[i])} and {_short(v[i])}"
    if first is None:
        return None
    size = int(np.prod(x.shape))
    return f"{n_different} of {size} values differ, in {len(rows)} of {n_rows} rows; {first}"


def _short(value):
    if isinstance(value, (bytes, np.bytes_)):
        value = bytes(value).split(b"\0", 1)[0].decode("utf-8", "replace")
    elif isinstance(value, np.floating):
        return str(value)  # the shortest text that tells it from every other number of its type
    elif hasattr(value, "item") and getattr(value, "size", 1) == 1:
        value = value.item()
    text = str(value).replace("\n", " ")
    return text if len(text) <= 60 else text[:57] + "..."
