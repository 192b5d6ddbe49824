"""Fixtures of the tests of the whole program; their tools are in harness.py."""

import time
from pathlib import Path

import pytest

from harness import SMALL, Program, end_all


@pytest.fixture
def kds(tmp_path):
    """The program in an empty folder. Nothing that it starts may outlive the test."""
    program = Program(tmp_path)
    yield program
    end = time.monotonic() + 10
    while program.alive() and time.monotonic() < end:
        time.sleep(0.05)
    left = {
        pid: Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
        for pid in program.alive()
        if Path(f"/proc/{pid}").exists()
    }
    end_all(program.token)
    assert not left, f"processes have outlived the test: {left}"


@pytest.fixture
def small(tmp_path):
    """small.cfg in the folder of the test."""
    path = tmp_path / "small.cfg"
    path.write_text(SMALL, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def small_results(tmp_path_factory):
    """What small.cfg gives."""
    program = Program(tmp_path_factory.mktemp("small"))
    (program.folder / "small.cfg").write_text(SMALL, encoding="utf-8")
    program.run("small.cfg")
    return program.folder / "small.h5"
