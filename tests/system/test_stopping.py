"""Asked to stop (time limit, signals, failures) the sweep stops soon, keeps all it has and goes on to the same bits."""

import os
import resource
import signal
import time
from pathlib import Path

import pytest

from harness import (
    SMOKE,
    STATUS,
    Program,
    StatusWatch,
    assert_identical,
    assert_untouched,
    epochs_for,
    needs_mpi,
    rows,
    wait_until,
)

STOPPED = 75
SOON = 20.0  # seconds from the request to the end on a busy machine; alone it is one mini-batch and MPI's farewell

# One teacher and one student that takes most of the time. {epochs} make its length.
LONG = """\
name = "long";
output = "long.h5";
data = { source = "gaussians";
  gaussians = { classes = 10; features = 64; train_per_class = 300; test_per_class = 100; }; };
teacher = { model = "mlp:8"; train = { epochs = 1; }; };
student = { model = "mlp:128-64"; objective = "robust"; baseline = false; };
train = { epochs = 240; batch = 64; lr = 0.05; };
"""


def checkpoints(folder, name):
    return sorted(p.name for p in (folder / f"{name}.work" / "checkpoints").glob("*"))


SWEEP = [SMOKE, "--progress", "none"]


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """smoke.cfg with epochs for about 1.5 seconds on one core, not stopped; SWEEP is its command line from here on."""
    folder = tmp_path_factory.mktemp("reference")
    SWEEP.extend(["--set", f"train.epochs={epochs_for(folder, SMOKE, 1.5)}"])
    Program(folder).run(*SWEEP, "-o", "smoke.h5")
    return folder / "smoke.h5"


def goes_on(kds, reference, stopped_rows, n_ranks=1):
    """The same command finishes the sweep, trains nothing twice and leaves no checkpoint."""
    assert len(checkpoints(kds.folder, "smoke")) <= n_ranks, "more checkpoints than ranks"
    kds.run(*SWEEP, "-o", "smoke.h5")
    assert_untouched(stopped_rows, rows(kds.folder / "smoke.h5"))
    assert_identical(reference, kds.folder / "smoke.h5")
    assert checkpoints(kds.folder, "smoke") == []


def check_stopped(kds, done, cause):
    """Exit code, words, and rows of the sweep in between."""
    done.expect(STOPPED)
    assert f"stopped by {cause} with" in done.err and "trials left" in done.err, str(done)
    assert "run the same command again to go on" in done.err, str(done)
    assert "error" not in done.err.split("----")[0], str(done)
    now = rows(kds.folder / "smoke.h5")
    assert set(now["status"].tolist()) <= {STATUS["missing"], STATUS["done"]}, (
        "an interrupted trial is not a failed one"
    )
    n_left = int((now["status"] == STATUS["missing"]).sum())
    assert f"with {n_left} trials left" in done.err, str(done)
    assert n_left > 0, f"nothing was left to stop\n{done}"
    return now


CASES = [
    pytest.param("SIGTERM", None, 0, id="SIGTERM-alone"),
    pytest.param("SIGINT", None, 0, id="SIGINT-alone"),
    pytest.param("SIGUSR1", None, 0, id="SIGUSR1-alone"),
    pytest.param("SIGUSR2", None, 0, id="SIGUSR2-alone"),
    pytest.param("SIGTERM", 3, 0, id="SIGTERM-rank0", marks=needs_mpi),
    pytest.param("SIGTERM", 3, 2, id="SIGTERM-rank2", marks=needs_mpi),
    pytest.param("SIGINT", 2, 1, id="SIGINT-rank1", marks=needs_mpi),
    pytest.param("SIGUSR1", 2, 1, id="SIGUSR1-rank1", marks=needs_mpi),
    pytest.param("SIGUSR2", 3, 2, id="SIGUSR2-rank2", marks=needs_mpi),
]


@pytest.mark.parametrize(("name", "np_", "rank"), CASES)
def test_signal(kds, reference, name, np_, rank):
    running = kds.start(*SWEEP, "-o", "smoke.h5", np=np_)
    watch = StatusWatch(kds.folder / "smoke.h5")
    wait_until(lambda: watch.n_finished() >= 5 or not running.is_running(), "five finished rows")
    assert running.signal(getattr(signal, name), rank), f"the sweep was over too soon\n{running.wait()}"
    done = running.wait(running_for(running) + SOON)
    now = check_stopped(kds, done, name if rank == 0 else "a signal to another rank")
    assert (now["status"] == STATUS["done"]).sum() >= 5
    goes_on(kds, reference, now, np_ or 1)


def running_for(running):
    return time.monotonic() - running.start


@needs_mpi
@pytest.mark.parametrize("writer", ["all", "root"])
def test_time_limit(kds, reference, writer):
    """Again and again a short limit: every start gets further, and in the end it is done."""
    known, n_stopped = None, 0
    for i in range(60):
        done = kds.run(
            *SWEEP, "-o", "smoke.h5", "--max-time", f"{0.4 + 0.1 * i:.1f}", "--writer", writer, np=2, expect=None
        )
        now = rows(kds.folder / "smoke.h5")
        if known is not None:
            assert_untouched(known, now)
        known = now
        if done.code == 0:
            break
        check_stopped(kds, done, "the time limit")
        n_stopped += 1
    assert done.code == 0, f"60 starts were not enough\n{done}"
    assert n_stopped > 0, "the limit never came: give the sweep more epochs"
    assert_identical(reference, kds.folder / "smoke.h5")
    assert checkpoints(kds.folder, "smoke") == []


def test_signal_before_the_first_trial(kds, reference):
    """While the file is laid out, say: either nothing is there yet, or a file that the same command goes on with."""
    running = kds.start(*SWEEP, "-o", "smoke.h5")
    wait_until(lambda: (kds.folder / "smoke.work").exists() or not running.is_running(), "the work folder")
    running.signal(signal.SIGTERM)
    done = running.wait()
    assert done.code in {STOPPED, -signal.SIGTERM}, str(done)
    kds.run(*SWEEP, "-o", "smoke.h5")
    assert_identical(reference, kds.folder / "smoke.h5")


# ---- checkpoints -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def student_epochs(tmp_path_factory):
    """Epochs that make the student of LONG take 1.2 seconds."""
    folder = tmp_path_factory.mktemp("long")
    (folder / "long.cfg").write_text(LONG, encoding="utf-8")
    return epochs_for(folder, "long.cfg", 1.2, "student.train.epochs", roles=[1])


@pytest.fixture
def long(tmp_path, student_epochs):
    path = tmp_path / "long.cfg"
    path.write_text(LONG.replace("epochs = 240", f"epochs = {student_epochs}"), encoding="utf-8")
    return path


STUDENT = 1


def cpu_seconds_of_the_dead():
    """Processor time of all ended children of this process."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def test_long_trial_goes_on_from_its_checkpoint(kds, long):
    kds.run(long, "-o", "whole.h5")
    whole = rows(kds.folder / "whole.h5")
    work = float(whole["cpu_seconds"][STUDENT])
    assert whole["role"][STUDENT] == 1 and work > 0.5, f"the trial is too short to be interrupted ({work:.2f} s)"

    n_stops, spent = 0, []
    for _ in range(40):  # stopped each time after about a third of the work of the whole trial, by processor time
        before = cpu_seconds_of_the_dead()
        running = kds.start(long)
        wait_until(lambda: not running.is_running() or cpu_seconds(running.pid) > 0.4 * work, "a third of the trial")
        running.signal(signal.SIGTERM)
        done = running.wait()
        spent.append(cpu_seconds_of_the_dead() - before)
        if done.code == 0:
            break
        done.expect(STOPPED)
        n_stops += 1
        assert len(checkpoints(kds.folder, "long")) == 1, f"one interrupted trial, {checkpoints(kds.folder, 'long')}"
        assert rows(kds.folder / "long.h5")["status"][STUDENT] == STATUS["missing"]
    assert done.code == 0 and n_stops >= 1, f"{n_stops} stops, the last time\n{done}"
    last = rows(kds.folder / "long.h5")
    assert_identical(kds.folder / "whole.h5", kds.folder / "long.h5")
    assert checkpoints(kds.folder, "long") == []
    # Its time is that of all its parts: more than all that the last start took, not more than what all of them took.
    assert last["cpu_seconds"][STUDENT] > spent[-1], "time of the interrupted parts was lost"
    assert last["cpu_seconds"][STUDENT] < sum(spent), "time of the interrupted parts was counted twice"
    assert n_stops <= 8, f"{n_stops} stops: it does not get on"


def has_worked(running, begun, seconds):
    return all(cpu_seconds(pid) > begun[rank] + seconds for rank, pid in running.ranks().items())


def cpu_seconds(pid):
    """User and system time of a process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def stop_in_the_student(kds, long, *arguments):
    """Start the long sweep and stop it when its teacher is done and the student has been at work for a while."""
    running = kds.start(long, *arguments)
    watch = StatusWatch(kds.folder / "long.h5")
    wait_until(lambda: watch.n_finished() >= 1 or not running.is_running(), "the teacher")
    begun = cpu_seconds(running.pid)
    wait_until(lambda: cpu_seconds(running.pid) > begun + 0.4 or not running.is_running(), "some work")
    running.signal(signal.SIGTERM)
    running.wait().expect(STOPPED)
    assert len(checkpoints(kds.folder, "long")) == 1


@pytest.mark.parametrize("damage", ["flipped", "truncated", "empty"])
def test_damaged_checkpoint_starts_the_trial_over(kds, long, damage):
    kds.run(long, "-o", "whole.h5")
    stop_in_the_student(kds, long)
    path = kds.folder / "long.work" / "checkpoints" / checkpoints(kds.folder, "long")[0]
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
    elif damage == "truncated":
        del content[len(content) // 2 :]
    elif damage == "empty":
        content.clear()
    path.write_bytes(content)
    kds.run(long)
    assert_identical(kds.folder / "whole.h5", kds.folder / "long.h5")
    assert checkpoints(kds.folder, "long") == []


def test_checkpoint_of_a_teacher_that_is_trained_again_for_its_labels(kds, long):
    """Its labels are damaged in a way that shows only when they are read; it is interrupted while it is made again."""
    # Teacher and student change places: the teacher is the long one.
    teacher, student = 'teacher = { model = "mlp:8"; train = { epochs = 1; }; };', 'student = { model = "mlp:128-64";'
    text = long.read_text(encoding="utf-8")
    assert teacher in text and student in text
    text = text.replace(teacher, 'teacher = { model = "mlp:128-64"; objective = "robust"; };')
    text = text.replace(student, 'student = { train = { epochs = 150; }; model = "mlp:16";')
    long.write_text(text, encoding="utf-8")
    kds.run(long, "-o", "whole.h5")
    running = kds.start(long)
    watch = StatusWatch(kds.folder / "long.h5")
    wait_until(lambda: watch.n_finished() >= 1 or not running.is_running(), "the teacher", pause=0.001)
    running.signal(signal.SIGKILL)
    running.wait()
    assert watch.n_finished() == 1, "the student is too short"
    (artifact,) = (kds.folder / "long.work" / "teachers").glob("*.kdt")
    content = bytearray(artifact.read_bytes())
    content[-5] ^= 1
    artifact.write_bytes(content)

    running = kds.start(long)
    wait_until(lambda: cpu_seconds(running.pid) > 0.6 or not running.is_running(), "some work")
    running.signal(signal.SIGTERM)
    running.wait().expect(STOPPED)
    assert len(checkpoints(kds.folder, "long")) == 1, checkpoints(kds.folder, "long")
    kds.run(long)
    assert_identical(kds.folder / "whole.h5", kds.folder / "long.h5")
    assert checkpoints(kds.folder, "long") == [], "a checkpoint was left behind"


@needs_mpi
def test_at_most_one_checkpoint_per_rank(kds, long, student_epochs):
    arguments = [long, "--set", "seeds=[1,2,3,4]", "--set", f"student.train.epochs={student_epochs * 3 // 2}"]
    kds.run(*arguments, "-o", "whole.h5")
    for _ in range(2):  # the second time they go on with what was interrupted, before anything new
        running = kds.start(*arguments, np=3)
        wait_until(lambda: "to train on 3 ranks" in running.stderr() or not running.is_running(), "the beginning")
        watch = StatusWatch(kds.folder / "long.h5")
        wait_until(lambda: watch.n_finished() >= 4 or not running.is_running(), "the teachers")
        begun = {rank: cpu_seconds(pid) for rank, pid in running.ranks().items()}
        wait_until(lambda: not running.is_running() or has_worked(running, begun, 0.4), "every rank in a student")
        running.signal(signal.SIGUSR1, 1)
        running.wait().expect(STOPPED)
        now = set(checkpoints(kds.folder, "long"))
        assert now and len(now) <= 3, f"3 ranks were stopped and left the checkpoints {now}"
    kds.run(*arguments, np=2)
    assert_identical(kds.folder / "whole.h5", kds.folder / "long.h5")
    assert checkpoints(kds.folder, "long") == []


# ---- too many failures -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("np_", [None, pytest.param(3, marks=needs_mpi)])
def test_stop_after(kds, small, np_):
    """Diverging students; --stop-after 3 ends the sweep, with those that were running as the only further failures."""
    arguments = [
        small,
        "--set",
        "student.train.lr=[1000,0.05]",
        "--set",
        "student.train.momentum=0.99",
        "--set",
        "train.epochs=60",
    ]
    done = kds.run(*arguments, "--stop-after", "3", np=np_, expect=4)
    assert "stopped after" in done.err and "--stop-after" in done.err and "--only failed,diverged" in done.err, str(
        done
    )
    now = rows(kds.folder / "small.h5")
    n_bad = int((now["status"] >= STATUS["diverged"]).sum())
    n_left = int((now["status"] == STATUS["missing"]).sum())
    assert 3 <= n_bad <= 3 + 2 * (np_ or 1), f"{n_bad} failures"
    assert n_left > 0, f"it did not stop\n{done}"
    assert f"{n_left} trials left" in done.err, str(done)
    # Without the option the rest is done, and what has diverged is not tried again.
    kds.run(*arguments, np=np_, expect=4)
    after = rows(kds.folder / "small.h5")
    assert_untouched(now, after)
    assert (after["status"] != STATUS["missing"]).all()


def test_stop_after_is_not_reached(kds, small, small_results):
    kds.run(small, "--stop-after", "1")
    assert_identical(small_results, kds.folder / "small.h5")
