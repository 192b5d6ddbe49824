"""A C file is found by its name alone: names are unique in src, include and tests."""

from lintlib import c_files, expect, main, put


def check(context):
    places = {}
    for path in c_files(context.source / "src", context.source / "include", context.source / "tests"):
        places.setdefault(path.name, []).append(str(path.relative_to(context.source)))
    complaints = [f"{name} is there {len(p)} times: {', '.join(p)}" for name, p in sorted(places.items()) if len(p) > 1]
    for name in sorted(places):
        if name != name.lower() or "-" in name or " " in name:
            complaints.append(f"{places[name][0]}: file names are lower_case with underscores")
    if not places:
        complaints.append("no file was found: the lint looked at nothing")
    return complaints


def selftest(context):
    root = context.source
    expect(check(context), "looked at nothing")
    put(root / "src/a/one.c", "")
    put(root / "tests/unit/a/test_one.c", "")
    assert check(context) == []
    put(root / "src/b/one.c", "")
    expect(check(context), "one.c is there 2 times")
    put(root / "src/b/Two-3.c", "")
    expect(check(context), "Two-3.c", "lower_case")


if __name__ == "__main__":
    main(check, selftest)
