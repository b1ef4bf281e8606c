"""The article's price table of 2023-04-07 as a tape of its own, for the time of a question."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import TemporaryDirectory

TABLE = "articles/2023-04-07.csv"
DAY = datetime(2023, 4, 7, tzinfo=UTC)


@contextmanager
def article_tape() -> Iterator[Path]:
    """Yield a tape that holds the table and nothing else; it is removed at the end."""
    from gputape.app import importing  # noqa: PLC0415  # a heavy import, for one flag
    from gputape.scrapers.importers.snapshot import ImportOptions  # noqa: PLC0415  # same

    with (
        TemporaryDirectory(prefix="gputape-article-") as folder,
        as_file(files("gputape.fixtures").joinpath(TABLE)) as table,
    ):
        tape = Path(folder) / "tape.duckdb"
        plan = importing.ImportPlan(
            fmt="article", path=table, db=tape, options=ImportOptions(), now=DAY
        )
        importing.run(plan, lambda _snapshot, _done: None)
        yield tape
