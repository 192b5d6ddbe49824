"""Configuring the build: the packages of `cmake/install-deps.sh --demo` suffice, and what is missing is named with its cure."""

import subprocess

import pytest

from harness import SOURCE


def pkg_config_without(names, folder):
    """A folder with every description that pkg-config finds, but those of the packages in `names`."""
    listed = subprocess.run(["pkg-config", "--list-all"], check=True, capture_output=True, text=True).stdout
    known = {line.split()[0] for line in listed.splitlines()}
    assert set(names) <= known
    folder.mkdir()
    for name in known - set(names):
        found = subprocess.run(["pkg-config", "--variable=pcfiledir", name], capture_output=True, text=True).stdout.strip()
        if found:
            (folder / f"{name}.pc").symlink_to(f"{found}/{name}.pc")
    return folder


def configure(tmp_path, *missing):
    descriptions = pkg_config_without(missing, tmp_path / "pkgconfig")
    command = ["env", f"PKG_CONFIG_LIBDIR={descriptions}", "cmake", "-S", str(SOURCE), "-B", str(tmp_path / "build"), "-DKDSWEEP_MPI=OFF"]
    return subprocess.run(command, capture_output=True, text=True)


def test_program_without_the_library_of_the_tests(tmp_path):
    done = configure(tmp_path, "cmocka")
    assert done.returncode == 0, done.stderr
    assert "No cmocka 1.1 or newer (Debian: libcmocka-dev): the tests are left out" in done.stdout
    assert (tmp_path / "build" / "src").is_dir() and not (tmp_path / "build" / "tests").exists()


@pytest.mark.parametrize("library, package", [("libconfig", "libconfig-dev")])
def test_a_missing_library_is_named_with_its_package(tmp_path, library, package):
    done = configure(tmp_path, library)
    assert done.returncode != 0
    assert library in done.stderr and package in done.stderr
