"""Everything that can go wrong, as one closed tree.

    GputapeError                 anything we say instead of a traceback
    ├── TapeError                the DuckDB file
    │   ├── NoTape               there is none yet
    │   ├── Busy                 another process is writing it
    │   ├── NoLake               a lake's catalogue, files or extensions are out of reach
    │   ├── TooNew               a later version of this program wrote it
    │   └── Damaged              DuckDB refuses to open it
    ├── BadInput                 a person's words we can not read
    └── SourceError              a provider (scrapers.errors)
        ├── Unreachable          network, 5xx, or not in the recording
        ├── Refused              401, 403, 429, a challenge page, robots.txt
        ├── Changed              not the shape that the adapter knows
        └── Unconfigured         a key is missing: skipped, not failed

Each message is one sentence: what is wrong, where, what to do.
`tests/test_errors.py` compares this drawing with the classes.
"""


class GputapeError(Exception):
    """Anything we say instead of a traceback."""


class TapeError(GputapeError):
    """The DuckDB file can not be used."""


class NoTape(TapeError):
    """There is no tape yet."""


class Busy(TapeError):
    """Another process is writing the tape."""


class NoLake(TapeError):
    """A lake's catalogue, its files or what reads them is out of reach."""


class TooNew(TapeError):
    """A later version of this program wrote the tape."""


class Damaged(TapeError):
    """DuckDB refuses to open the file."""


class BadInput(GputapeError):
    """A person's words that can not be read; the sentence says what would be right."""
