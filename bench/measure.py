"""What a child process costs, and the one line in which a benchmark says so."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryFile


@dataclass(frozen=True, slots=True)
class Cost:
    """One run of a process, children included."""

    wall_s: float
    cpu_s: float
    """User and system."""
    peak_mib: float
    """Largest resident set."""
    said: str


@dataclass(frozen=True, slots=True)
class Line:
    """One comparison: ours, theirs, the goal."""

    name: str
    ours: float
    theirs: float
    unit: str
    ratio: str
    goal: str = ""
    """Empty where there is nothing to reach: the line only informs."""
    met: bool = True

    def cells(self) -> tuple[str, ...]:
        """Return what a table shows of it."""
        met = ("met" if self.met else "NOT MET") if self.goal else ""
        sides = (f"{side:.3g} {self.unit}" for side in (self.ours, self.theirs))
        return (self.name, *sides, self.ratio, self.goal, met)


@dataclass(frozen=True, slots=True)
class Judged:
    """One figure that has a goal and nothing beside it."""

    name: str
    ours: str
    more: str = ""
    goal: str = ""
    met: bool = True

    def cells(self) -> tuple[str, ...]:
        """Return what a table shows of it."""
        met = ("met" if self.met else "NOT MET") if self.goal else ""
        return (self.name, self.ours, "", self.more, self.goal, met)


def faster(name: str, ours: float, theirs: float, unit: str, goal: float | None = None) -> Line:
    """Say how many times less ours takes than theirs; the goal is at least so many."""
    times = theirs / ours
    aim = f">= {goal:g} × less" if goal else ""
    return Line(name, ours, theirs, unit, f"{times:.3g} × less", aim, times >= (goal or 0))


def slower(name: str, ours: float, theirs: float, unit: str, goal: float | None = None) -> Line:
    """Say how many times theirs ours takes; the goal is at most so many."""
    times = ours / theirs
    aim = f"<= {goal:g} × theirs" if goal else ""
    return Line(name, ours, theirs, unit, f"{times:.3g} × theirs", aim, times <= (goal or times))


def within(name: str, ours: float, theirs: float, unit: str, limit: float) -> Line:
    """Say how ours compares with theirs; the goal is a limit on ours alone."""
    ratio = f"{ours / theirs:.3g} × theirs"
    return Line(name, ours, theirs, unit, ratio, f"<= {limit:g} {unit}", ours <= limit)


def python(*words: object) -> list[str]:
    """Return a command for this interpreter."""
    return [sys.executable, *map(str, words)]


def gputape(*words: object) -> list[str]:
    """Return a command for the program as installed beside this interpreter."""
    return [str(Path(sys.executable).with_name("gputape")), *map(str, words)]


def cost(command: Sequence[str], env: Mapping[str, str] | None = None) -> Cost:
    """Run a command to its end; what it says on stdout is kept.

    The peak is the child's only while this process is the smaller one: a child begins as a
    copy of its parent. Everything that needs memory therefore happens in children.
    """
    env = os.environ | dict(env or {})
    began = time.perf_counter()
    with (
        TemporaryFile() as talk,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=talk, env=env) as child,
    ):
        said = child.stdout.read().decode() if child.stdout else ""
        _, status, used = os.wait4(child.pid, 0)
        wall_s = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            talk.seek(0)
            why = talk.read().decode()
            raise SystemExit(f"{' '.join(command)} ended with {child.returncode}\n{why}")
    unit = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes, Linux KiB
    return Cost(wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss / unit, said)


def in_turn(sides: Mapping[str, Callable[[], Cost]], repeats: int) -> dict[str, Cost]:
    """Run each side once to warm the disk cache, then in turn; return the medians.

    In turn, so that whatever else the machine does falls on every side alike.
    """
    for side in sides.values():
        side()
    runs = [{name: side() for name, side in sides.items()} for _ in range(repeats)]
    return {name: middle([run[name] for run in runs]) for name in sides}


def middle(runs: Sequence[Cost]) -> Cost:
    """Return the median of each figure."""
    return Cost(
        median(run.wall_s for run in runs),
        median(run.cpu_s for run in runs),
        median(run.peak_mib for run in runs),
        runs[-1].said,
    )
