"""Who includes whom: every #include "kdsweep/..." against the table in src/CMakeLists.txt, external headers against its
ALLOW entries, nothing of MPI, HDF5, libconfig or BLAS under include/, and every public header compiles alone."""

import json
import subprocess
from fnmatch import fnmatch
from pathlib import Path

from lintlib import c_files, expect, includes, main, put

# Headers that are kept in one place each. What is not here (libc, POSIX) anybody may include.
GUARDED = {"mpi.h", "hdf5.h", "hdf5_hl.h", "H5public.h", "libconfig.h", "cblas.h", "zlib.h", "immintrin.h", "arm_neon.h", "cpuid.h"}


def owner(header, modules):
    """The module that a header of include/kdsweep belongs to."""
    for name, module in modules.items():
        if header == f"{name}.h" or header in module["headers"]:
            return name
    for name in modules:
        if header.startswith(f"{name}_"):
            return name
    return None


def check_own(path, place, module, modules, complaints):
    """`path` belongs to `module`: are its kdsweep includes in the table?"""
    allowed = {module, *modules[module]["uses"]}
    for line, _, name in includes(path):
        if not name.startswith("kdsweep/"):
            continue
        used = owner(name.removeprefix("kdsweep/"), modules)
        if used is None:
            complaints.append(f"{place}:{line}: {name} belongs to no module: name it in HEADERS in src/CMakeLists.txt")
        elif used not in allowed:
            complaints.append(f"{place}:{line}: module {module} may not use module {used} ({name})")


def check(context):
    modules = context.modules()
    complaints = []
    public = context.source / "include" / "kdsweep"
    for path in c_files(public):
        place = path.relative_to(context.source)
        for line, _, name in includes(path):
            if name in GUARDED or name.startswith("H5"):
                complaints.append(f"{place}:{line}: {name} must not appear under include/")
        module = owner(path.name, modules)
        if module is None:
            complaints.append(f"{place}: belongs to no module: name it in HEADERS in src/CMakeLists.txt")
        else:
            check_own(path, place, module, modules, complaints)
        done = subprocess.run(
            [context.cc, "-std=c17", "-D_POSIX_C_SOURCE=200809L", "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
             "-I", str(context.source / "include"), "-x", "c", "-"],
            input=f'#include "kdsweep/{path.name}"\n', capture_output=True, text=True, check=False)
        if done.returncode != 0:
            complaints.append(f"{place}: does not compile alone:\n{done.stderr}")
    for folder in sorted(p for p in (context.source / "src").iterdir() if p.is_dir()):
        if folder.name not in modules:
            if any(c_files(folder)):
                complaints.append(f"src/{folder.name}: no module of this name in src/CMakeLists.txt")
            continue
        module = modules[folder.name]
        rules = [rule.split("=", 1) for rule in module["allow"] + module["allow_once"]]
        once = {rule.split("=", 1)[0]: [] for rule in module["allow_once"]}
        for path in c_files(folder):
            place = path.relative_to(context.source)
            check_own(path, place, folder.name, modules, complaints)
            for line, kind, name in includes(path):
                if name in GUARDED:
                    if not any(name == header and fnmatch(path.name, glob) for header, glob in rules):
                        complaints.append(f"{place}:{line}: {name} is not allowed here")
                    elif name in once:
                        once[name].append(str(place))
                elif kind == '"' and any(name == header and fnmatch(path.name, glob) for header, glob in rules):
                    pass  # a private header of another module, allowed by name
                elif kind == '"' and not name.startswith("kdsweep/") and not (folder / name).is_file():
                    complaints.append(f'{place}:{line}: "{name}" is neither a public header nor one of this module')
        for header, places in once.items():
            if len(set(places)) > 1:
                complaints.append(f"module {folder.name}: {header} belongs in one file, not in {', '.join(places)}")
    return complaints


def selftest(context):
    root = context.source
    nothing = {"uses": [], "headers": [], "allow": [], "allow_once": [], "archive": ""}
    table = {
        "base": nothing | {"headers": ["text.h"]},
        "grid": nothing | {"uses": ["base"], "allow_once": ["libconfig.h=*.c"]},
        "farm": nothing | {"uses": ["base"], "allow": ["mpi.h=farm_mpi*"]},
    }
    put(root / "modules.json", json.dumps(table))
    put(root / "include/kdsweep/text.h", "#include <stddef.h>\nsize_t kds_a(void);\n")
    put(root / "include/kdsweep/grid.h", '#include "kdsweep/text.h"\n')
    put(root / "src/base/text.c", '#include "kdsweep/text.h"\n#include <stdio.h>\n')
    put(root / "src/grid/grid.c", '#include <libconfig.h>\n#include "kdsweep/grid.h"\n#include "kdsweep/text.h"\n')
    put(root / "src/farm/farm_mpi.c", "#include <mpi.h>\n")
    assert check(context) == [], check(context)

    def bad(name, text, *words):
        path = root / name
        before = path.read_text(encoding="utf-8") if path.exists() else None
        put(path, text)
        expect(check(context), *words)
        path.unlink()
        if before is not None:
            put(path, before)

    bad("src/base/text.c", '#include "kdsweep/grid.h"\n', "base may not use module grid", "text.c:1")
    bad("src/farm/x.c", '\n# include  "kdsweep/grid.h"\n', "farm may not use module grid", "x.c:2")
    bad("src/farm/sched.c", "#include <mpi.h>\n", "mpi.h is not allowed here")
    bad("src/base/x.c", "#include <hdf5.h>\n", "hdf5.h is not allowed here")
    bad("src/grid/other.c", "#include <libconfig.h>\n", "belongs in one file")
    bad("src/grid/other.c", '#include "sched.h"\n', "neither a public header")
    bad("src/stray/x.c", "", "no module of this name")
    (root / "src/stray").rmdir()
    bad("include/kdsweep/grid.h", "#include <mpi.h>\n", "must not appear under include/")
    bad("include/kdsweep/text.h", '#include "kdsweep/grid.h"\n', "base may not use module grid")
    bad("include/kdsweep/text.h", "size_t kds_a(void);\n", "does not compile alone")
    bad("include/kdsweep/orphan.h", "", "belongs to no module")
    assert check(context) == []


if __name__ == "__main__":
    main(check, selftest)
