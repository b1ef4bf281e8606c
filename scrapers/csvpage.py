"""Rows of a CSV far larger than memory, read by DuckDB's CSV reader where it lies.

Measured on 230 MB in the true shape of an EC2 offer file (`make bench`): 0.6 CPU s and
under 150 MB, one thread, straight from the archive's zstd file.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from tempfile import NamedTemporaryFile

import zstandard

from gputape.scrapers.errors import Changed
from gputape.scrapers.page import Page

PREAMBLE_LINES = 20  # AWS writes five before the header
START_BYTES = 2**16
BUFFER_BYTES = 8 * 2**20  # a quarter of DuckDB's own, for a smaller peak


def rows(page: Page, columns: Sequence[str], keep: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the rows in which some column of `keep` matches its regular expression.

    Columns are addressed by name; one that the file lacks is "". Raises `Changed` when no
    line of the start names every column of `keep`.
    """
    skip, header = _header(page, keep)
    if page.path is None:
        with NamedTemporaryFile(suffix=".csv") as file:
            file.write(page.body)
            file.flush()
            return _select(file.name, skip, header, columns, keep)
    return _select(str(page.path), skip, header, columns, keep)


def start(page: Page) -> bytes:
    """Return the first 64 KiB of a body without reading the rest."""
    if page.path is None:
        return page.read()[:START_BYTES]
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


def _select(
    path: str, skip: int, header: Sequence[str], columns: Sequence[str], keep: Mapping[str, str]
) -> list[dict[str, str]]:
    import duckdb  # noqa: PLC0415  # only where a CSV is read

    there = [column for column in columns if column in header]
    wanted = ", ".join(f'"{column}"' for column in there)
    types = ", ".join(f"{_quoted(f'c{i}' if n not in there and n not in keep else n)}: 'VARCHAR'"
                      for i, n in enumerate(header))  # fmt: skip
    test = " or ".join(f'regexp_matches("{column}", {_quoted(regex)})'
                       for column, regex in keep.items())  # fmt: skip
    with duckdb.connect(config={"threads": "1"}) as con:
        try:
            found = con.execute(
                f"select {wanted} from read_csv({_quoted(path)}, skip={skip}, header=false, "
                "auto_detect=false, delim=',', quote='\"', escape='\"', "
                f"buffer_size={BUFFER_BYTES}, columns={{{types}}}) where {test}"
            ).fetchall()
        except duckdb.Error as error:
            raise Changed(f"can not read the CSV ({str(error).splitlines()[0]})") from None
    absent = dict.fromkeys((column for column in columns if column not in there), "")
    return [
        {**absent, **{name: value or "" for name, value in zip(there, row, strict=True)}}
        for row in found
    ]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
