"""What the tests of the whole program share: starting it with or without MPI, looking at its processes and its files.

Every process of a test carries a token in its environment, so that exactly the test's own ranks are found,
signalled and, at the end, missed: a test whose processes outlive it fails.
"""

import os
import shlex
import shutil
import signal
import subprocess
import time
import uuid
from pathlib import Path

import h5py
import numpy as np
import pytest

from kdsweep_analysis.diff import diff

SOURCE = Path(os.environ.get("KDSWEEP_SOURCE_DIR", Path(__file__).resolve().parents[2]))
BINARY = Path(os.environ.get("KDSWEEP_BINARY", SOURCE / "build" / "release" / "kdsweep"))
MPIEXEC = shlex.split(os.environ.get("KDSWEEP_MPIEXEC", shutil.which("mpiexec") or ""))
SMOKE = SOURCE / "sweeps" / "smoke.cfg"
TOKEN = "KDSWEEP_TEST_TOKEN"
RANK_VARIABLES = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK")

# As tests/CMakeLists.txt has it, so that pytest can also be called by hand.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "OMPI_MCA_hwloc_base_binding_policy": "none",
    "OMPI_MCA_mpi_yield_when_idle": "1",
    "OMPI_MCA_btl_vader_single_copy_mechanism": "none",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "PRTE_MCA_hwloc_default_binding_policy": "none",
}
os.environ["HDF5_USE_FILE_LOCKING"] = "FALSE"  # for the readers in the tests; the program must not need it

needs_mpi = pytest.mark.skipif(not MPIEXEC, reason="this build has no MPI (KDSWEEP_MPIEXEC is empty)")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else or mount")


def wait_until(condition, what, deadline=60.0, pause=0.005):
    """The first true value of condition(); fails when there is none in `deadline` seconds."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            pytest.fail(f"waited {deadline:g} s in vain: {what}")
        time.sleep(pause)


# ---- processes -------------------------------------------------------------------------------------------------------


def environment_of(pid):
    try:
        items = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return {}
    return dict(i.decode("utf-8", "replace").split("=", 1) for i in items if b"=" in i)


def processes_of(token):
    """{pid: environment} of the living processes that carry the token."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            environment = environment_of(entry)
            if environment.get(TOKEN) == token:
                found[int(entry)] = environment
    return found


class Done:
    """A process that has ended."""

    def __init__(self, command, code, out, err, seconds):
        self.command, self.code, self.out, self.err, self.seconds = command, code, out, err, seconds

    def expect(self, code):
        assert self.code == code, f"exit code {self.code}, expected {code}\n{self}"
        return self

    def __str__(self):
        def end(text):
            return text if len(text) < 4000 else "...\n" + text[-4000:]

        head = f"$ {self.command}\n[{self.code}] after {self.seconds:.2f} s"
        return f"{head}\n-- stdout\n{end(self.out)}\n-- stderr\n{end(self.err)}"


class Running:
    """A process and, below a launcher, its ranks."""

    def __init__(self, command, folder, token, env, has_launcher, cwd):
        self.command, self.token, self.has_launcher = shlex.join(map(str, command)), token, has_launcher
        self.folder = folder
        # Files, not pipes: a rank that outlives its launcher would hold a pipe open.
        self._out, self._err = (folder / "stdout").open("wb"), (folder / "stderr").open("wb")
        self.start = time.monotonic()
        inherited = {k: v for k, v in os.environ.items() if k != "HDF5_USE_FILE_LOCKING"}
        self.process = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=self._err,
            cwd=cwd,
            env={**ENVIRONMENT, **inherited, TOKEN: token, **(env or {})},
            start_new_session=True,
        )
        self.pid = self.process.pid

    def stderr(self):
        return (self.folder / "stderr").read_text(encoding="utf-8", errors="replace")

    def ranks(self):
        """{rank: pid} of the ranks that live now; without a launcher the process is rank 0."""
        if not self.has_launcher:
            return {0: self.pid} if self.process.poll() is None else {}
        found = {}
        for pid, environment in processes_of(self.token).items():
            rank = next((environment[v] for v in RANK_VARIABLES if v in environment), None)
            try:
                is_rank = Path(f"/proc/{pid}/comm").read_text(encoding="ascii").strip() == BINARY.name[:15]
            except OSError:
                continue
            if rank is not None and is_rank:
                found[int(rank)] = pid
        return found

    def signal(self, number, rank=None):
        """To one rank, or to the process that was started (the launcher). False when it is gone."""
        pid = self.pid if rank is None else self.ranks().get(rank)
        if pid is None:
            return False
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        return True

    def is_running(self):
        return self.process.poll() is None

    def wait(self, timeout=120.0):
        try:
            code = self.process.wait(max(0.01, self.start + timeout - time.monotonic()))
        except subprocess.TimeoutExpired:
            end_all(self.token)
            self.process.wait()
            pytest.fail(f"still running after {timeout:g} s\n{self.done(None)}")
        return self.done(code)

    def done(self, code):
        self._out.close()
        self._err.close()
        texts = [(self.folder / n).read_text(encoding="utf-8", errors="replace") for n in ("stdout", "stderr")]
        return Done(self.command, code, *texts, time.monotonic() - self.start)


def end_all(token):
    for pid in processes_of(token):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


class Program:
    """kdsweep in a folder of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.token = uuid.uuid4().hex
        self._n = 0

    def command(self, args, np=None, before=()):
        launcher = [*MPIEXEC, "-n", str(np)] if np else []
        return [*before, *launcher, BINARY, *args]

    def start(self, *args, np=None, env=None, cwd=None, before=()):
        if np and not MPIEXEC:
            pytest.skip("this build has no MPI (KDSWEEP_MPIEXEC is empty)")
        self._n += 1
        logs = self.folder / ".logs" / f"{self.token[:8]}-{self._n}"
        logs.mkdir(parents=True)
        return Running(self.command(args, np, before), logs, self.token, env, bool(np), cwd or self.folder)

    def run(self, *args, np=None, env=None, expect=0, timeout=120.0, cwd=None, before=()):
        done = self.start(*args, np=np, env=env, cwd=cwd, before=before).wait(timeout)
        return done if expect is None else done.expect(expect)

    def alive(self):
        return processes_of(self.token)

    def wait_for_end_of_all(self, deadline=30.0):
        wait_until(
            lambda: not self.alive(), f"processes have outlived their sweep: {list(self.alive())}", deadline, 0.05
        )


def epochs_for(folder, grid, seconds, key="train.epochs", roles=(0, 1, 2)):
    """Epochs with which the trials of these roles take so many seconds of processor time here, all together."""
    program, n = Program(folder), 20
    while True:
        program.run(grid, "-o", "calibration.h5", "--overwrite", "-q", "--set", f"{key}={n}", timeout=300)
        made = rows(folder / "calibration.h5")
        took = float(made["cpu_seconds"][np.isin(made["role"], roles)].sum())
        if took > 0.2 or n >= 2000:
            return max(2, min(100000, round(n * seconds / max(took, 1e-3))))
        n *= 5


# ---- files -----------------------------------------------------------------------------------------------------------

# A sweep of 24 trials in a few hundredths of a second.
SMALL = """\
name = "small";
output = "small.h5";
seeds = [0, 1];
data = { source = "gaussians"; gaussians = { classes = 3; features = 4; train_per_class = 40; test_per_class = 40; }; };
teacher = { model = "mlp:8"; objective = ["standard", "robust"]; };
student = { model = "mlp:4"; objective = ["standard", "balanced"]; temperature = [1, 2]; };
train = { epochs = 3; batch = 16; lr = 0.05; };
"""


def assert_identical(a, b):
    """No bit differs between two results files but in timing columns."""
    differences = diff(a, b)
    assert not differences, f"{a} and {b} differ:\n" + "\n".join(map(str, differences[:20]))


STATUS = {"missing": 0, "done": 1, "diverged": 2, "failed": 3}


def rows(path):
    """All variables over `trial`, {name: array}, and nothing held open."""
    with h5py.File(path, "r", locking=False) as file:
        n = file["status"].shape[0]
        return {
            name: file[name][...]
            for name in file
            if file[name].ndim > 0
            and file[name].shape[0] == n
            and (name == "trial" or dimension(file[name]) == "trial")
        }


def dimension(dataset):
    """Name of the first dimension."""
    try:
        return dataset.dims[0][0].name.rsplit("/", 1)[-1]
    except (IndexError, RuntimeError, KeyError):
        return ""


def texts(array):
    return [bytes(v).split(b"\0", 1)[0].decode() if isinstance(v, (bytes, np.bytes_)) else str(v) for v in array]


def words(array):
    """A (trial, characters) array as strings."""
    return [bytes(row.tobytes()).split(b"\0", 1)[0].decode("utf-8") for row in np.asarray(array)]


def bits(array):
    return np.ascontiguousarray(array).tobytes()


class StatusWatch:
    """Counts finished rows of a live file, cheaply: `status` lies at a fixed place."""

    def __init__(self, path):
        self.path, self.offset, self.n = Path(path), None, 0

    def n_finished(self):
        if self.offset is None:
            try:
                with h5py.File(self.path, "r", locking=False) as file:
                    self.offset, self.n = file["status"].id.get_offset(), file["status"].shape[0]
            except (OSError, KeyError):
                return 0
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                return sum(b != 0 for b in file.read(self.n))
        except OSError:
            return 0


def assert_untouched(before, after, which=None):
    """Rows `which` (default: all finished ones) are the same in every bit, timing columns too: not trained again."""
    chosen = np.flatnonzero(before["status"] != 0) if which is None else np.asarray(which)
    for name, old in before.items():
        if name == "trial":
            continue
        new = after[name]
        changed = [int(i) for i in chosen if bits(old[i]) != bits(new[i])]
        assert not changed, (
            f"{name} of finished rows changed: {changed[:10]}, e.g. {old[changed[0]]} -> {new[changed[0]]}"
        )
