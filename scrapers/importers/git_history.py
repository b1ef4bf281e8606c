"""A git clone as a history: which blobs each commit changed, oldest first, and their bytes.

It asks the git program: the log once, then one `cat-file --batch` for every blob. Only what the
main line published counts (first parents), so a branch's work in progress is never a price.
"""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, NamedTuple

from gputape.store.errors import BadInput


class Commit(NamedTuple):
    """What one commit changed: path → blob, None where it was deleted."""

    sha: str
    committed_at: datetime
    blobs: Mapping[str, str | None]


def is_repository(path: Path) -> bool:
    """Whether a folder is a clone, bare or not."""
    bare = (path / "HEAD").is_file() and (path / "objects").is_dir()
    return (path / ".git").exists() or bare


def commits(repository: Path, patterns: Sequence[str]) -> list[Commit]:
    """Return the commits that changed files matching git's glob patterns, oldest first.

    Raises `BadInput` with git's own words when it can not read the clone.
    """
    words = ["log", "--first-parent", "--diff-merges=first-parent", "--reverse", "--raw",
             "--no-abbrev", "--no-renames", "--format=commit %H %ct", "--"]  # fmt: skip
    command = _git(repository, *words, *(f":(glob){pattern}" for pattern in patterns))
    try:
        done = subprocess.run(command, capture_output=True, check=True, env=_environment())  # noqa: S603  # our own words
    except FileNotFoundError:
        raise BadInput("git is not installed: install it to read a clone") from None
    except subprocess.CalledProcessError as error:
        words_of_git = error.stderr.decode("utf-8", "replace").strip().splitlines()
        said = words_of_git[-1] if words_of_git else f"exit code {error.returncode}"
        raise BadInput(f"git can not read {repository} ({said}): clone it again") from None
    return list(_parsed(done.stdout.decode("utf-8", "replace").splitlines()))


def _git(repository: Path, *words: str) -> list[str]:
    return ["git", "-C", str(repository), "-c", "core.quotePath=false", *words]


def _environment() -> dict[str, str]:
    """Return ours without what would point git elsewhere; it may not fetch a missing blob."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return kept | {"GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0"}


def _parsed(lines: Sequence[str]) -> Iterator[Commit]:
    sha, at, blobs = "", "0", dict[str, str | None]()
    for line in lines:
        if line.startswith("commit "):
            if sha:
                yield Commit(sha, datetime.fromtimestamp(int(at), UTC), blobs)
            (_, sha, at), blobs = line.split(" "), {}
        elif line.startswith(":"):  # ":100644 100644 OLD NEW M\tcatalogs/v5/aws/vms.csv"
            facts, _, path = line.partition("\t")
            blob = facts.split(" ")[3]
            blobs[path] = None if blob.strip("0") == "" else blob
    if sha:
        yield Commit(sha, datetime.fromtimestamp(int(at), UTC), blobs)


class Blobs:
    """An open `git cat-file --batch`."""

    def __init__(self, question: IO[bytes], answer: IO[bytes]) -> None:
        self._question, self._answer = question, answer

    def read(self, blob: str) -> bytes | None:
        """Return a blob's bytes, or None when the clone does not have it (a partial clone)."""
        self._question.write(blob.encode() + b"\n")
        self._question.flush()
        header = self._answer.readline().split()  # b"SHA blob SIZE" or b"SHA missing"
        if len(header) != 3:
            return None
        data = self._answer.read(int(header[2]))
        self._answer.read(1)  # the newline after the bytes
        return data


@contextmanager
def blobs(repository: Path) -> Iterator[Blobs]:
    """Open a clone's blobs; git ends with the block."""
    command = _git(repository, "cat-file", "--batch")
    with subprocess.Popen(  # noqa: S603  # our own words
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env=_environment(),
    ) as git:  # fmt: skip
        if git.stdin is None or git.stdout is None:
            raise BadInput(f"git can not read {repository}: clone it again")
        try:
            yield Blobs(git.stdin, git.stdout)
        finally:
            git.stdin.close()
            git.stdout.close()
            git.terminate()
