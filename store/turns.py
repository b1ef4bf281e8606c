"""Whose turn it is to write: nobody else's in a file, one's own among others in a lake.

In a lake a provider's rows are written by one process at a time (`turn`), so that series ids and
the order of scans hold; a number for a new provider and a frame of everything are one
process's alone. Ids never meet: each ends in its provider's own number, as series ids do.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

from gputape.store.errors import Busy
from gputape.store.literal import literal
from gputape.store.verdict import NUMBERS

if TYPE_CHECKING:
    import duckdb

    from gputape.store.catalogue import Claims
    from gputape.store.lake import Conflicts

T = TypeVar("T")
PATIENCE_S = 60.0  # a scan is recorded in a second
FRAMES = "frames"


class Alone:
    """The turns of a file's one writer: always."""

    shared = False

    def __init__(self, con: "duckdb.DuckDBPyConnection") -> None:
        self._con = con

    @contextmanager
    def turn(self, provider: str, *, patience_s: float = PATIENCE_S) -> Iterator[None]:  # noqa: ARG002  # a lake's
        """Write a provider's rows."""
        yield

    @contextmanager
    def sole(self, what: str) -> Iterator[bool]:  # noqa: ARG002  # same
        """Do what only one may do at a time, or not."""
        yield True

    def whole(self, work: Callable[[], T], afresh: Callable[[], object]) -> T:  # noqa: ARG002  # same
        """Do all of a transaction."""
        self._con.begin()
        done = work()
        self._con.commit()
        return done

    def next_id(self, least: int, number: int) -> int:  # noqa: ARG002  # same
        """Return an id that nobody else gives."""
        return least

    def begin_to_know(self) -> None:
        """Note that what the tape says now is about to be learned."""

    def others_wrote(self, provider: str) -> bool:  # noqa: ARG002  # same
        """Whether there may be something to learn of a provider since, or since this was asked."""
        return False


class Together(Alone):
    """The turns of one of several who write a lake."""

    shared = True

    def __init__(
        self, con: "duckdb.DuckDBPyConnection", claims: "Claims", conflicts: "Conflicts"
    ) -> None:
        super().__init__(con)
        self._claims = claims
        self._conflicts = conflicts
        self._author = f"gputape {uuid4().hex[:12]}"
        self._doing = ""
        self._known_until = 0
        self._seen: dict[str, int] = {}

    @contextmanager
    def turn(self, provider: str, *, patience_s: float = PATIENCE_S) -> Iterator[None]:
        """Write a provider's rows while nobody else does, and nobody takes a frame.

        Raises `Busy` after `patience_s`.
        """
        with (
            self._held(f"record/{provider}", patience_s),
            self._held(FRAMES, patience_s, shared=True),
            self._signed(provider),
        ):
            yield

    @contextmanager
    def sole(self, what: str) -> Iterator[bool]:
        """Do what only one may do at a time, or leave it to who does it."""
        ours = self._claims.take(what, patience_s=1)
        try:
            with self._signed(what):
                yield ours
        finally:
            if ours:
                self._claims.give(what)

    @contextmanager
    def _signed(self, key: str) -> Iterator[None]:
        """Say in the lake's own list of commits what ours are about."""
        before, self._doing = self._doing, key
        try:
            yield
        finally:
            self._doing = before

    @contextmanager
    def _held(self, key: str, patience_s: float, *, shared: bool = False) -> Iterator[None]:
        if not self._claims.take(key, patience_s=patience_s, shared=shared):
            raise Busy(f"another collector has been writing {key} all the while: try again later")
        try:
            yield
        finally:
            self._claims.give(key, shared=shared)

    def whole(self, work: Callable[[], T], afresh: Callable[[], object]) -> T:
        """Do all of a transaction, and again when another one came first."""
        from gputape.store.lake import retrying  # noqa: PLC0415  # nothing of a lake's for a file

        def signed() -> T:
            words = f"{literal(self._author)}, {literal(self._doing)}"
            self._con.execute(f"call tape.set_commit_message({words})")
            return work()

        return retrying(self._con, signed, self._conflicts, afresh=afresh)

    def begin_to_know(self) -> None:
        """Note the lake's newest snapshot: everything until then is about to be learned."""
        self._known_until, _ = self._claims.written("", 0, self._author)
        self._seen = {}

    def others_wrote(self, provider: str) -> bool:
        """Ask who committed since, which costs less than asking the tables."""
        since = self._seen.get(provider, self._known_until)
        self._seen[provider], wrote = self._claims.written(provider, since, self._author)
        return wrote

    def next_id(self, least: int, number: int) -> int:
        """Return the first id from `least` on that ends in a number of the caller's own."""
        return least + (number - least) % NUMBERS
