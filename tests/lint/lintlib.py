"""What the lints share: arguments, the table of modules, reporting, and the self-test on bad examples.

A lint is a script lint_<what>.py with two functions: check(context) returns a list of complaints, selftest(folder) builds
bad examples in an empty folder and raises AssertionError when check does not complain about them. Exit code 0: clean,
1: complaints or a failed self-test, 77: cannot run here (a tool is missing).
"""

import argparse
import json
import re
import sys
import tempfile
from pathlib import Path

SKIP = 77
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)


class Skip(Exception):
    """This lint cannot run here."""


class Context:
    def __init__(self, source, build=None, cc="cc", nm="nm", clang_format=None):
        self.source = Path(source)
        self.build = Path(build) if build else None
        self.cc, self.nm, self.clang_format = cc, nm, clang_format

    def modules(self):
        return json.loads((self.build / "modules.json").read_text(encoding="utf-8"))


def includes(path):
    """(line number, '<' or '"', name) of every #include of a file."""
    text = path.read_text(encoding="utf-8")
    return [(text.count("\n", 0, m.start()) + 1, m[1], m[2]) for m in INCLUDE.finditer(text)]


def c_files(*folders):
    for folder in folders:
        if folder.is_dir():
            yield from sorted(p for p in folder.rglob("*") if p.suffix in (".c", ".h") and p.is_file())


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def expect(complaints, *words):
    """The self-test's assertion: some complaint holds all the words."""
    assert any(all(w in c for w in words) for c in complaints), f"no complaint with {words} among {complaints}"


def main(check, selftest):
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", required=True)
    parser.add_argument("--build", required=True)
    parser.add_argument("--cc", default="cc")
    parser.add_argument("--nm", default="nm")
    parser.add_argument("--clang-format", default="")
    a = parser.parse_args()
    context = Context(a.source, a.build, a.cc, a.nm, a.clang_format)
    try:
        with tempfile.TemporaryDirectory(prefix="kdsweep-lint-") as folder:
            selftest(Context(folder, folder, a.cc, a.nm, a.clang_format))
        complaints = check(context)
    except Skip as why:
        print(f"skipped: {why}")
        sys.exit(SKIP)
    for complaint in complaints:
        print(complaint)
    print(f"{len(complaints)} complaints" if complaints else "clean")
    sys.exit(1 if complaints else 0)
