"""Rows of a CSV far larger than memory, read by DuckDB's CSV reader where it lies.

One thread, straight from the archive's zstd file; `make bench` measures it on 230 MB in the
true shape of an EC2 offer file (bench/RESULTS.md).
"""

import csv
import io
import re
from collections.abc import Collection, Mapping, Sequence
from tempfile import NamedTemporaryFile

import zstandard

from gputape.scrapers.errors import Changed
from gputape.scrapers.frame import check_whole
from gputape.scrapers.page import Page

PREAMBLE_LINES = 20  # AWS writes five before the header
START_BYTES = 2**16
BUFFER_BYTES = 8 * 2**20  # a quarter of DuckDB's own, for a smaller peak


Rows = list[dict[str, str]]


def rows(
    page: Page, columns: Sequence[str], keep: Mapping[str, str], only: Mapping[str, Collection[str]]
) -> Rows:
    """Return the rows in which some column of `keep` matches its regular expression.

    Every column of `only` that the file has must say one of its texts. Columns are addressed by
    name; one that the file lacks is "". Raises `Changed` when no line of the start names every
    column of `keep`, `Damaged` when the file is cut.
    """
    skip, header = _header(page, keep)
    if page.path is None:
        with NamedTemporaryFile(suffix=".csv") as file:
            file.write(page.body)
            file.flush()
            return _select(file.name, skip, header, columns, _test(header, keep, only))
    return _select(str(page.path), skip, header, columns, _test(header, keep, only))


def start(page: Page) -> bytes:
    """Return the first 64 KiB of a body without reading the rest."""
    if page.path is None:
        return page.read()[:START_BYTES]
    if page.path.suffix == ".zst":
        check_whole(page.path)
    with page.path.open("rb") as file:
        if page.path.suffix == ".zst":
            return zstandard.ZstdDecompressor().stream_reader(file).read(START_BYTES)
        return file.read(START_BYTES)


def _header(page: Page, keep: Mapping[str, str]) -> tuple[int, list[str]]:
    lines = csv.reader(io.StringIO(start(page).decode("utf-8-sig", "replace")))
    for number, line in zip(range(PREAMBLE_LINES), lines, strict=False):
        if set(keep) <= set(line):
            return number + 1, line
    raise Changed(f"{page.url} has no header with {', '.join(keep)}", url=page.url)


def _test(
    header: Sequence[str], keep: Mapping[str, str], only: Mapping[str, Collection[str]]
) -> str:
    """Return the SQL condition: fetching 2,000 rows instead of 18,000 is a sixth of the time."""
    some = " or ".join(f"regexp_matches(c{header.index(column)}, {_quoted(regex)})"
                       for column, regex in keep.items())  # fmt: skip
    every = [
        f"coalesce(c{header.index(column)}, '') in ({', '.join(map(_quoted, sorted(texts)))})"
        for column, texts in only.items()
        if column in header
    ]
    return " and ".join([f"({some})", *every])


def _select(path: str, skip: int, header: Sequence[str], columns: Sequence[str], test: str) -> Rows:
    import duckdb  # noqa: PLC0415  # only where a CSV is read

    there = [column for column in columns if column in header]
    # numbers for names: a header may say anything, twice
    wanted = ", ".join(f"c{header.index(column)}" for column in there) or "0"
    types = ", ".join(f"c{i}: 'VARCHAR'" for i in range(len(header)))
    with duckdb.connect(config={"threads": "1"}) as con:
        try:
            found = con.execute(
                f"select {wanted} from read_csv({_quoted(_literal(path))}, skip={skip}, "
                f"header=false, compression='{'zstd' if path.endswith('.zst') else 'none'}', "
                "auto_detect=false, delim=',', quote='\"', escape='\"', "
                f"buffer_size={BUFFER_BYTES}, columns={{{types}}}) where {test}"
            ).fetchall()
        except duckdb.Error as error:
            raise Changed(f"can not read the CSV ({str(error).splitlines()[0]})") from None
    absent = dict.fromkeys((column for column in columns if column not in there), "")
    return [
        {**absent, **{name: value or "" for name, value in zip(there, row, strict=bool(there))}}
        for row in found
    ]


def _literal(path: str) -> str:
    """Return the pattern that means this path: DuckDB reads `*`, `?` and `[` as a search."""
    return re.sub(r"[*?[]", r"[\g<0>]", path)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
