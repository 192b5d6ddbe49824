"""clang-format 14 and .clang-format agree with every C file of src, include and tests."""

import shutil
import subprocess
from pathlib import Path

from lintlib import Skip, c_files, expect, main, put

STYLE = Path(__file__).resolve().parents[2] / ".clang-format"


def check(context):
    tool = context.clang_format
    if not tool or not shutil.which(tool):
        raise Skip("no clang-format")
    version = subprocess.run([tool, "--version"], capture_output=True, text=True, check=True).stdout
    if "version 14." not in version:
        raise Skip(f"another version formats differently: {version.strip()}")
    files = list(c_files(context.source / "src", context.source / "include", context.source / "tests"))
    if not files:
        return ["no file was found: the lint looked at nothing"]
    done = subprocess.run([tool, "--dry-run", "-Werror", "--ferror-limit=1", *map(str, files)],
                          capture_output=True, text=True, check=False)
    bad = sorted({line.split(":", 1)[0] for line in done.stderr.splitlines() if "-Wclang-format-violations" in line})
    if done.returncode != 0 and not bad:
        return [done.stderr]
    return [f"{Path(p).relative_to(context.source)}: run clang-format -i on it" for p in bad]


def selftest(context):
    root = context.source
    put(root / ".clang-format", STYLE.read_text(encoding="utf-8"))
    expect(check(context), "looked at nothing")
    put(root / "src/a/good.c", "int kds_a(void)\n{\n    return 1;\n}\n")
    assert check(context) == [], check(context)
    put(root / "src/a/bad.c", "int  kds_b( void ) {\n  return 1;\n}\n")
    expect(check(context), "bad.c", "clang-format -i")


if __name__ == "__main__":
    main(check, selftest)
