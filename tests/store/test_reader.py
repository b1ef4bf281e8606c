"""The Python API: what a question gives, what it refuses, and that its page says so."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

import gputape.store
from gputape.store import tape as store
from gputape.store.errors import BadInput, Damaged, NoTape, TapeError, TooNew
from gputape.store.offer import Offer, Option, Origin, SeriesKey
from gputape.store.places import default_tape
from gputape.store.reader import Rows, Tape
from gputape.store.record import Recorder
from gputape.store.scan import Listing, Scan

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "python.md").read_text("utf-8")
LONG_AGO = "2000-01-01"
FIRST = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
KEY = SeriesKey(provider="acme", sku="one", region="eu-1", option=Option.ON_DEMAND)
OFFER = Offer(key=KEY, gpu="h100-sxm-80", gpu_count=Decimal(1), price=Decimal("2.00"))


@pytest.fixture
def opened(kinds: Path) -> Iterator[Tape]:
    """The tape with one offer of each kind."""
    with gputape.store.open(kinds) as tape:
        yield tape


@pytest.fixture
def recorded(tape: Path) -> Iterator[Tape]:
    """The tape of `fixtures/`."""
    with gputape.store.open(tape) as opened:
        yield opened


def scan(at: datetime, **more: object) -> Scan:
    made = Scan(run_id=1, provider="acme", part="list", started_at=at, finished_at=at,
                observed_at=at, status="ok", parser_revision=1, normaliser="1")  # fmt: skip
    return replace(made, **more)  # type: ignore[arg-type]


def record(db: Path, *looks: tuple[Scan, str]) -> None:
    """Record looks at one offer, each at a price, and publish."""
    with store.writing(db, FIRST) as con:
        recorder = Recorder(con)
        for look, price in looks:
            recorder.record(look, Listing(offers=[replace(OFFER, price=Decimal(price))]))
        store.publish(con, db)


def skus(rows: Rows) -> set[str]:
    return {row["sku"] for row in rows}


# -- opening ----------------------------------------------------------------------------------


def test_to_import_the_store_costs_nothing() -> None:
    """`import gputape.store` brings no engine and no data frames."""
    heavy = "{'duckdb', 'pandas', 'pyarrow', 'numpy'}"
    code = f"import sys, gputape.store; sys.exit(bool({heavy} & sys.modules.keys()))"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_a_path_it_is_the_tape_of_the_commands(
    kinds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`GPUTAPE_DB` names it, as on the command line."""
    monkeypatch.setenv("GPUTAPE_DB", str(kinds))

    with gputape.store.open() as tape:
        assert tape.path == kinds
        assert len(tape.offers())


@pytest.mark.parametrize("home", [None, "elsewhere"])
def test_the_default_place_is_that_of_the_commands(
    home: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Library and command line never look in two places."""
    from gputape.app import places

    monkeypatch.delenv("GPUTAPE_HOME", raising=False)
    if home:
        monkeypatch.setenv("GPUTAPE_HOME", home)

    assert default_tape() == places.default_tape()


def test_where_there_is_no_tape(tmp_path: Path) -> None:
    """It says so, and what to do."""
    with pytest.raises(NoTape, match=r"there is no tape at .*run `gputape collect`"):
        gputape.store.open(tmp_path / "none.duckdb")


def test_a_file_that_is_no_tape(tmp_path: Path) -> None:
    """DuckDB refuses it, and we say it in a sentence."""
    db = tmp_path / "tape.duckdb"
    db.write_bytes(b"not a database at all" * 1000)

    with pytest.raises(Damaged, match="DuckDB can not open"):
        gputape.store.open(db)


def test_a_tape_of_a_later_duckdb(kinds: Path, tmp_path: Path) -> None:
    """A storage version from the future is `TooNew`."""
    db = tmp_path / "tape.duckdb"
    body = bytearray(kinds.read_bytes())
    body[12:20] = (999).to_bytes(8, "little")
    db.write_bytes(body)

    with pytest.raises((TooNew, Damaged), match=r"later DuckDB|can not open"):
        gputape.store.open(db)


def test_a_tape_that_lacks_our_views(tmp_path: Path) -> None:
    """An older tape that can not be brought up to date is named, not a traceback."""
    import duckdb

    db = tmp_path / "tape.duckdb"
    with duckdb.connect(str(db)) as con:
        con.execute("create table scan (observed_at timestamptz, status varchar)")
    with gputape.store.open(db) as tape, pytest.raises(Damaged, match="lacks what this version"):
        len(tape.offers())


def test_it_answers_from_the_copy_it_opened(tmp_path: Path) -> None:
    """What is published later is seen by the next one who opens."""
    db = tmp_path / "tape.duckdb"
    record(db, (scan(FIRST), "2.00"))
    with gputape.store.open(db) as before:
        record(db, (scan(FIRST + DAY), "2.20"))
        with gputape.store.open(db) as after:
            assert [row["price"] for row in after.offers()] == [Decimal("2.20")]
            assert after.newest_look == FIRST + DAY
        assert [row["price"] for row in before.offers()] == [Decimal("2.00")]
        assert before.newest_look == FIRST


def test_a_closed_tape(kinds: Path) -> None:
    """What was asked stays; what was not is refused in a sentence."""
    with gputape.store.open(kinds) as tape:
        asked, unasked = tape.offers(), tape.offers()
        assert len(asked)

    assert asked.rows()
    with pytest.raises(TapeError, match="is closed"):
        unasked.rows()


# -- questions --------------------------------------------------------------------------------


def test_offers_are_what_may_be_rented(opened: Tape) -> None:
    """Firm prices, cheapest first; no suspect, no gone, no imported table of long ago."""
    rows = opened.offers().rows()
    prices = [row["usd_gpu_hour"] for row in rows if row["usd_gpu_hour"]]

    assert {"plain", "eight", "mover"} <= {row["sku"] for row in rows}
    assert not {row["sku"] for row in rows} & {"dubious", "leaver", "H100 80 GB"}
    assert prices == sorted(prices)
    assert rows[-1]["currency"] == "EUR"  # no rate is known: no dollars are invented


def test_everything_has_the_rest(opened: Tape) -> None:
    """`everything` adds what is gone, not believed, or an old table."""
    more = skus(opened.offers(everything=True)) - skus(opened.offers())

    assert more == {"dubious", "leaver", "H100 80 GB"}


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        ({"gpu": "h100"}, {"acme", "bazaar", "slow"}),
        ({"gpu": ["t4-16"]}, set()),
        ({"gpu": []}, set()),
        ({"provider": "bazaar"}, {"bazaar"}),
        ({"provider": ["bazaar", "slow"]}, {"bazaar", "slow"}),
        ({"region": "EU"}, {"acme", "bazaar", "slow"}),
        ({"region": "us"}, set()),
        ({"sku": "host-1"}, {"bazaar"}),
        ({"option": "spot"}, set()),
        ({"option": ("spot", "on_demand")}, {"acme", "bazaar", "slow"}),
        ({"tier": "cluster"}, set()),
        ({"term_months": 12}, set()),
        ({"gpu": None, "provider": None}, {"acme", "bazaar", "slow"}),
    ],
)
def test_filters_narrow(opened: Tape, which: dict[str, object], expected: set[str]) -> None:
    """Each filter leaves what it says; None leaves all, an empty list nothing."""
    rows = opened.offers(**which)  # type: ignore[arg-type]

    assert {row["provider"] for row in rows} == expected


@pytest.mark.parametrize(
    ("which", "sentence"),
    [
        ({"gpu": "h1000"}, "no GPU is called 'h1000'"),
        ({"provider": "acmee"}, "no provider 'acmee' here: did you mean acme"),
        ({"option": "spott"}, "no option 'spott' here: did you mean spot"),
        ({"gpus": "h100"}, "no filter 'gpus': one of gpu, "),
    ],
)
def test_a_word_that_means_nothing(opened: Tape, which: dict[str, str], sentence: str) -> None:
    """It is refused at once, with the nearest word that does."""
    with pytest.raises(BadInput, match=sentence):
        opened.offers(**which)  # type: ignore[arg-type]


def test_a_moment(tmp_path: Path) -> None:
    """`at` has the price of its moment; a bare date is the end of that day."""
    db = tmp_path / "tape.duckdb"
    record(db, (scan(FIRST), "2.00"), (scan(FIRST + DAY), "2.20"))

    with gputape.store.open(db) as tape:
        found = {
            str(moment): [row["price"] for row in tape.at(moment)]
            for moment in ("2025-12-31", "2026-01-01", date(2026, 1, 1), FIRST + DAY,
                           "2026-01-02T11:59:59", "2026-01-02T13:00+01:00",
                           pd.Timestamp("2026-01-02", tz="UTC"))
        }  # fmt: skip
    assert found == {
        "2025-12-31": [],
        "2026-01-01": [2],
        "2026-01-02 12:00:00+00:00": [Decimal("2.20")],
        "2026-01-02T11:59:59": [2],
        "2026-01-02T13:00+01:00": [Decimal("2.20")],
        "2026-01-02 00:00:00+00:00": [2],
    }


@pytest.mark.parametrize("moment", ["yesterday", "2026-13-01", ""])
def test_a_moment_that_is_none(opened: Tape, moment: str) -> None:
    """Words that are no time are refused with what would be."""
    with pytest.raises(BadInput, match="is no time: write 2026-08-01"):
        opened.at(moment)


def test_a_moment_without_a_zone(opened: Tape) -> None:
    """A naive datetime may mean any: it is refused."""
    with pytest.raises(BadInput, match="names no time zone"):
        opened.at(datetime(2026, 1, 1))  # noqa: DTZ001  # that is the point


def test_history_is_what_reaches_into_the_period(tmp_path: Path) -> None:
    """Intervals are whole, and one that ended before or began after is not there."""
    db = tmp_path / "tape.duckdb"
    record(db, *((scan(FIRST + n * DAY), f"2.{n}0") for n in range(4)))

    with gputape.store.open(db) as tape:
        every = [(row["valid_from"], row["valid_to"]) for row in tape.history("h100")]
        some = tape.history("one", since="2026-01-02T13:00", until="2026-01-03")
        assert every == [
            *((FIRST + n * DAY, FIRST + (n + 1) * DAY) for n in range(3)), (FIRST + 3 * DAY, None)
        ]  # fmt: skip
        assert [row["price"] for row in some] == [Decimal("2.10"), Decimal("2.20")]


def test_history_of_nothing_known(opened: Tape) -> None:
    """A word that is neither a GPU nor a sku of this tape is refused."""
    with pytest.raises(BadInput, match="no GPU is called 'p99'"):
        opened.history("p99")


def test_what_was_said_at_the_time(tmp_path: Path) -> None:
    """`as_recorded` is without the correction that every other answer has."""
    db = tmp_path / "tape.duckdb"
    corrected = scan(FIRST, origin=Origin.CORRECTION, finished_at=FIRST + 2 * DAY)
    record(db, (scan(FIRST), "2.00"), (corrected, "3.00"))

    with gputape.store.open(db) as tape:
        told = [
            [row["price"] for row in rows]
            for rows in (
                tape.history("h100"),
                tape.history("h100", as_recorded=True),
                tape.at(FIRST + DAY),
                tape.at(FIRST + DAY, as_recorded=True),
            )
        ]
    assert told == [[3], [2], [3], [2]]


def test_changes_are_moves_after_a_moment(tmp_path: Path) -> None:
    """Only prices unless other events are asked for; after `since`, until `until`, newest first."""
    db = tmp_path / "tape.duckdb"
    record(db, *((scan(FIRST + n * DAY), f"2.{n}0") for n in range(4)))

    with gputape.store.open(db) as tape:
        moves = [row["percent"] for row in tape.changes(LONG_AGO)]
        between = [row["price"] for row in tape.changes("2026-01-02", "2026-01-03")]
        new = [row["event"] for row in tape.changes(LONG_AGO, event=("new", "gone"))]
    assert moves == [Decimal("4.55"), Decimal("4.76"), Decimal("5.00")]
    assert between == [Decimal("2.20"), Decimal("2.10")]
    assert new == ["new"]


def test_an_event_that_is_none(opened: Tape) -> None:
    """It is refused with those that are."""
    with pytest.raises(BadInput, match="no event 'moved' here"):
        opened.changes(LONG_AGO, event="moved")


def test_daily_is_between_two_days(tmp_path: Path) -> None:
    """Both days count, and filters narrow as everywhere."""
    db = tmp_path / "tape.duckdb"
    record(db, *((scan(FIRST + n * DAY), f"2.{n}0") for n in range(4)))

    with gputape.store.open(db) as tape:
        days = [row["day"] for row in tape.daily(since="2026-01-02", until=date(2026, 1, 3))]
        assert days == [date(2026, 1, 2), date(2026, 1, 3)]
        assert not len(tape.daily(gpu="t4-16"))
        assert len(tape.daily(gpu="h100", provider="acme", option="on_demand")) >= 4


def test_sql_of_your_own(opened: Tape) -> None:
    """One select, as a person writes it."""
    rows = opened.sql("select count(*) as n from v_offers; -- that is all")

    assert rows.columns == ("n",)
    assert rows.rows() == [{"n": len(opened.offers(everything=True))}]


def test_two_columns_of_one_name(opened: Tape) -> None:
    """A dict would lose one of them: it is refused."""
    with pytest.raises(BadInput, match="two columns are called 'n'"):
        opened.sql("select 1 as n, 2 as n, 3 as m")


@pytest.mark.parametrize(
    "query",
    ["drop table scan", "select 1; select 2", "copy scan to 'scan.csv'", "", "set threads = 1"],
)
def test_sql_that_is_no_question(opened: Tape, query: str) -> None:
    """Anything but one select is refused before it runs."""
    with pytest.raises(BadInput, match="one select is asked at a time"):
        opened.sql(query)


@pytest.mark.parametrize("query", ["selec 1", "select nope from v_offers", "from nowhere"])
def test_sql_that_is_not_understood(opened: Tape, query: str) -> None:
    """DuckDB's own words come at once, as `BadInput`."""
    with pytest.raises(BadInput, match="Error"):
        opened.sql(query)


def test_sql_that_fails_while_it_runs(opened: Tape) -> None:
    """An error that only the rows bring is `BadInput` too."""
    rows = opened.sql("select cast(sku as integer) as n from v_offers")

    with pytest.raises(BadInput, match="Conversion Error"):
        rows.rows()


# -- answers ----------------------------------------------------------------------------------


def test_an_answer_is_asked_once(opened: Tape) -> None:
    """What a `Rows` says does not move, even where the question asks for the time."""
    rows = opened.sql("select now() as at, random() as dice")

    assert rows.rows() == rows.rows() == list(rows) == rows.arrow().to_pylist()


def test_nothing_is_asked_for_names(opened: Tape) -> None:
    """`columns` computes nothing: a query that would fail has them."""
    assert opened.sql("select error('asked') as word").columns == ("word",)


def test_rows_are_exact(recorded: Tape) -> None:
    """Money is `Decimal` with all its places, times are aware and in UTC."""
    rows = recorded.offers().rows()
    printed = recorded.sql("select price::varchar as text, series_id from v_offers").rows()
    texts = {row["series_id"]: row["text"] for row in printed}

    assert all(f"{row['price']:f}" == texts[row["series_id"]] for row in rows)
    assert all(row["last_seen"].utcoffset() == timedelta(0) for row in rows)


def test_arrow_is_exact(recorded: Tape) -> None:
    """Decimals stay decimals, times are microseconds in UTC."""
    table = recorded.offers().arrow()

    assert table.schema.field("price").type == pa.decimal128(18, 9)
    assert table.schema.field("usd_gpu_hour").type == pa.decimal128(18, 6)
    assert table.schema.field("since").type == pa.timestamp("us", "UTC")


def test_a_frame_is_the_nearest(recorded: Tape) -> None:
    """Each float is the one nearest to its price, not one step beside it."""
    rows = recorded.history()
    frame = rows.df()

    assert [float(row["price"]) for row in rows] == frame["price"].tolist()
    assert all(
        Decimal(repr(x)) == row["price"] for x, row in zip(frame["price"], rows, strict=True)
    )


def test_floats_of_nine_places() -> None:
    """Arrow's own cast is beside the nearest float for these prices; ours is not."""
    from gputape.store.frames import data_frame

    prices = [Decimal(n * 7919).scaleb(-9) for n in range(1, 5000)]
    table = pa.table({"price": pa.array(prices, pa.decimal128(18, 9))})

    assert data_frame(table, exact=False)["price"].tolist() == [float(price) for price in prices]


def test_a_frame_says_its_types(recorded: Tape) -> None:
    """Times are aware, and what may be unknown stays what it is."""
    kinds = {name: str(kind) for name, kind in recorded.offers().df().dtypes.items()}

    assert kinds["usd_gpu_hour"] == "float64"
    assert kinds["since"] == "datetime64[us, UTC]"
    assert kinds["term_months"] == "Int16"
    assert kinds["available"] == "boolean"
    assert str(recorded.daily().df()["day"].dtype).startswith("datetime64[")


def test_an_exact_frame(recorded: Tape) -> None:
    """`exact` has the decimals themselves."""
    rows = recorded.offers()

    assert rows.df(exact=True)["price"].tolist() == [row["price"] for row in rows]


def test_batches_are_the_same_rows(recorded: Tape) -> None:
    """Record batches of at most so many rows come to the same table."""
    rows = recorded.history()
    batches = list(rows.batches(50))

    assert len(batches) > 1
    assert max(batch.num_rows for batch in batches) <= 50
    assert pa.Table.from_batches(batches).to_pylist() == rows.rows()


def test_answers_do_not_disturb_each_other(recorded: Tape) -> None:
    """A question inside the loop over another one's batches, and one in each of four threads."""
    many = recorded.history()
    inside = [len(recorded.offers(gpu="h100")) for _ in many.batches(50)]
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(len(recorded.history())))
               for _ in range(4)]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert set(inside) == {len(recorded.offers(gpu="h100"))}
    assert found == [len(many)] * 4


def test_rows_show_themselves(opened: Tape) -> None:
    """A shell shows the columns, and how many rows once they are known."""
    rows = opened.sql("select 1 as one, 2 as two")
    before = repr(rows)

    assert (before, len(rows), repr(rows)) == ("<rows of one, two>", 1, "<1 rows of one, two>")


# -- the page ---------------------------------------------------------------------------------


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
def test_the_code_of_the_page_runs(
    code: str, tape: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each block of docs/python.md runs on the recorded tape as it stands."""
    monkeypatch.setenv("GPUTAPE_DB", str(tape))
    monkeypatch.chdir(tmp_path)

    exec(compile(code, "docs/python.md", "exec"), {})  # noqa: S102  # our own page


def test_the_page_knows_every_column(recorded: Tape) -> None:
    """The table of columns is what each question gives, no more and no less."""
    said: dict[str, set[str]] = {}
    for names, words in re.findall(r"^\| (`.*?`) \| [\w(),]+ \| ([\w ]+) \|", PAGE, re.MULTILINE):
        for word in words.split():
            said.setdefault(word, set()).update(re.findall(r"`(\w+)`", names))

    assert said == {
        "offers": set(recorded.offers().columns),
        "history": set(recorded.history().columns),
        "changes": set(recorded.changes(LONG_AGO).columns),
        "daily": set(recorded.daily().columns),
    }


def test_the_page_knows_every_type(recorded: Tape) -> None:
    """The types of the table are those of Arrow."""
    short = {"timestamp[us, tz=UTC]": "timestamp", "date32[day]": "date"}
    answers = (recorded.offers(), recorded.history(), recorded.changes(LONG_AGO), recorded.daily())
    true = {
        field.name: short.get(str(field.type), str(field.type)).replace("decimal128", "decimal")
        for rows in answers
        for field in rows.arrow().schema
    }
    said = {
        name: kind
        for names, kind in re.findall(r"^\| (`.*?`) \| ([\w(),]+) \| [\w ]+ \|", PAGE, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", names)
    }

    assert said == {name: kind.replace(", ", ",") for name, kind in true.items()}


def test_the_page_knows_every_filter() -> None:
    """The table of filters is what questions take."""
    from gputape.store.reader import FILTERS

    (block,) = re.findall(r"\| filter \|.*?\n\n", PAGE, re.DOTALL)

    assert set(re.findall(r"^\| `(\w+)` \|", block, re.MULTILINE)) == set(FILTERS)
