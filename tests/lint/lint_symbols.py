"""What the libraries export and need, by nm: every external symbol is kds_ (or main), no module needs the symbols of an
external library that it may not use, an object for one instruction set exports one symbol."""

import json
import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path

from lintlib import expect, main, put

# header -> what needing its library looks like
LIBRARIES = {
    "mpi.h": re.compile(r"^(P?MPI_|ompi_|mca_|opal_)"),
    "hdf5.h": re.compile(r"^H5[A-Z]*[a-z_]"),
    "libconfig.h": re.compile(r"^config_"),
    "cblas.h": re.compile(r"^(cblas_|openblas_|[sd]gemm_)"),
    "zlib.h": re.compile(r"^(gz(open|read|close|error|eof|buffer|dopen|getc|gets)|inflate|deflate|uncompress|adler32|crc32$)"),
}
DEFINED = set("TDBRGSCVWui")
ISA = re.compile(r"_(avx2|avx512)\.c\.o$")


def objects(context, archive):
    """{object: (defined external symbols, undefined symbols)} of an archive or object."""
    done = subprocess.run([context.nm, "-g", "-P", "-A", str(archive)], capture_output=True, text=True, check=True)
    table = {}
    for line in done.stdout.splitlines():
        place, _, rest = line.partition(": ")
        fields = rest.split()
        if len(fields) < 2:
            continue
        name = re.sub(r".*\[(.*)\]$", r"\1", place)
        defined, undefined = table.setdefault(Path(name).name, (set(), set()))
        (defined if fields[1] in DEFINED else undefined).add(fields[0])
    return table


def check_module(context, name, module):
    complaints = []
    rules = [rule.split("=", 1) for rule in module["allow"] + module["allow_once"]]
    for obj, (defined, undefined) in sorted(objects(context, module["archive"]).items()):
        source = obj.removesuffix(".o")
        for symbol in sorted(defined):
            if not symbol.startswith("kds_") and symbol != "main":
                complaints.append(f"{name}/{source}: {symbol} is neither static nor kds_")
        for header, pattern in LIBRARIES.items():
            needed = sorted(s for s in undefined if pattern.match(s))
            if needed and not any(h == header and fnmatch(source, glob) for h, glob in rules):
                complaints.append(f"{name}/{source}: needs {', '.join(needed[:3])}, but may not include {header}")
        if ISA.search(obj) and len(defined) != 1:
            complaints.append(f"{name}/{source}: exports {sorted(defined)}; an instruction-set file exports one symbol")
    return complaints


def check(context):
    complaints = []
    n_archives = 0
    for name, module in context.modules().items():
        if module["archive"]:
            n_archives += 1
            complaints += check_module(context, name, module)
    if n_archives == 0:
        complaints.append("no library was found: the lint looked at nothing")
    return complaints


def selftest(context):
    root = context.source

    def build(file_name, text, module):
        put(root / file_name, text)
        obj = root / f"{file_name}.o"
        subprocess.run([context.cc, "-c", "-o", str(obj), str(root / file_name)], check=True)
        table = {"m": {"uses": [], "headers": [], "allow": [], "allow_once": [], "archive": str(obj)} | module}
        put(root / "modules.json", json.dumps(table))
        return check(context)

    assert build("good.c", "static int f(void) { return 1; }\nint kds_a(void) { return f(); }\n", {}) == []
    expect(build("bad.c", "int helper(void) { return 1; }\n", {}), "helper", "neither static nor kds_")
    expect(build("data.c", "int shared = 1;\n", {}), "shared", "neither static nor kds_")
    mpi = "int MPI_Init(int *, char ***);\nint kds_a(void) { return MPI_Init(0, 0); }\n"
    expect(build("sched.c", mpi, {"allow": ["mpi.h=farm_mpi*"]}), "MPI_Init", "may not include mpi.h")
    assert build("farm_mpi.c", mpi, {"allow": ["mpi.h=farm_mpi*"]}) == []
    hdf5 = "int H5Fclose(long);\nint kds_a(void) { return H5Fclose(0); }\n"
    expect(build("x.c", hdf5, {}), "H5Fclose")
    assert build("x.c", hdf5, {"allow": ["hdf5.h=*"]}) == []
    expect(build("k_avx2.c", "int kds_a(void) { return 1; }\nint kds_b(void) { return 1; }\n", {}), "exports")
    assert build("k_avx2.c", "int kds_a(void) { return 1; }\n", {}) == []
    put(root / "modules.json", "{}")
    expect(check(context), "looked at nothing")


if __name__ == "__main__":
    main(check, selftest)
