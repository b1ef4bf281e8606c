"""`doctor`: what works, what does not, and what to do about it."""

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gputape.app.cli.output import db_option, format_options, write
from gputape.store.places import Where, archive_of

if TYPE_CHECKING:
    import duckdb

    from gputape.app.config import Config

Line = tuple[str, str, str]  # what, ok | warn | bad, sentence
LITTLE_SPACE = 500 * 2**20
FUTURE = timedelta(minutes=5)
UNTIDY = timedelta(days=4)
OLD_MESSAGE = timedelta(hours=1)
# What was imported is somebody else's to ask: it has one line, and can not be stale.
IMPORTED = """
select count(distinct provider), max(observed_at) from scan where origin = 'import'
"""
SOURCES = """
with tried as (
    select provider, part, status, sentence, observed_at, scan_id,
        status in ('ok', 'unchanged') as good,
        max(observed_at) filter (where status in ('ok', 'unchanged'))
            over (partition by provider, part) as last_good
    from scan where status not in ('skipped', 'unconfigured') and origin in ('live', 'replay')
)
select t.provider, max(t.last_good), count(distinct t.part),
    count(distinct t.part)
        filter (where not good and (last_good is null or observed_at > last_good)),
    max_by(t.sentence, t.scan_id) filter (where not good), any_value(p.cadence_s)
from tried t left join v_providers p using (provider)
group by t.provider order by t.provider
"""


@click.command()
@format_options
@db_option
def doctor(db: Where, fmt: str, output: Path | None) -> None:
    """Say what works, what does not, and what to do; exit 1 when something is bad."""
    lines = list(_look(db, datetime.now(UTC)))
    write(lines, ("what", "state", "finding"), fmt, output)
    if any(state == "bad" for _, state, _ in lines):
        raise click.exceptions.Exit(1)


def _look(db: Where, now: datetime) -> Iterator[Line]:
    settings, line = _config()
    yield line
    yield from _service(db)
    yield from _keys()
    yield _disk(db)
    yield from _tape(db, settings, now)
    yield from _alerts(db, settings, now)


def _config() -> "tuple[Config, Line]":
    from gputape.app import config
    from gputape.app.service.schedule import jobs
    from gputape.store.errors import BadInput

    try:
        loaded = config.load_all()
        jobs(loaded.config)
    except BadInput as error:
        return config.Config(), ("config", "bad", str(error))
    said = str(loaded.path) if loaded.path else "none: defaults"
    over = sum(origin.startswith("env ") for origin in loaded.origins.values())
    more = f" ({over} values from the environment)" if over else ""
    return loaded.config, ("config", "ok", said + more)


def _service(db: Where) -> Iterator[Line]:
    """Say who runs this tape, and what keeps it from running as it should."""
    from gputape.app.service import status

    pid, left = status.runs(db), status.read(db)
    if not left:
        yield "service", "ok", "not running: `gputape run`, or collect by hand"
        return
    refused = (left.get("config") or {}).get("refused")
    if not pid:
        yield "service", "ok", f"not running; ended, or was killed, after {left.get('began_at')}"
    elif refused:
        yield (
            "service",
            "bad",
            f"a changed file was refused ({refused}): process {pid} goes on with the old one",
        )
    else:
        trouble = left.get("last_error")
        said = f"process {pid} since {left.get('began_at')}"
        yield "service", "warn" if trouble else "ok", said + (f"; {trouble}" if trouble else "")


def _keys() -> Iterator[Line]:
    from gputape.scrapers.registry import ADAPTERS

    for found in ADAPTERS:
        for key in found.PROVIDER.keys:
            known = "set" if os.environ.get(key) or os.environ.get(f"{key}_FILE") else "not set"
            yield f"key {key}", "ok", f"{known} ({found.PROVIDER.slug}; never needed)"


def _disk(db: Where) -> Line:
    archive = archive_of(db)
    near = (db if isinstance(db, Path) else archive).absolute()
    free = shutil.disk_usage(next(place for place in (near, *near.parents) if place.is_dir())).free
    raw = sum(file.stat().st_size for file in archive.rglob("*.zst")) if archive.exists() else 0
    size = db.stat().st_size if isinstance(db, Path) and db.exists() else 0
    tape = f"tape {size / 2**20:.1f} MiB, " if isinstance(db, Path) else ""
    sentence = f"{free / 2**30:.1f} GiB free; {tape}archive {raw / 2**20:.1f} MiB"
    return "disk", "ok" if free > LITTLE_SPACE else "bad", sentence


def _tape(db: Where, settings: "Config", now: datetime) -> Iterator[Line]:
    from gputape.store.errors import TapeError
    from gputape.store.tape import reading

    try:
        with reading(db) as con:
            schema = con.execute("select max(number) from migration").fetchall()[0][0]
            yield "tape", "ok", f"{db}, schema {schema}"
            if not isinstance(db, Path):
                yield _lake(con, now)
            yield from _clock(con, now)
            yield from _sources(con, db, _idle(db, settings), now)
            yield from _imported(con)
            yield from _rejects(con)
            yield from _held(con)
    except TapeError as error:
        yield "tape", "bad", str(error)


def _lake(con: "duckdb.DuckDBPyConnection", now: datetime) -> Line:
    """Say how large a lake is, and whether somebody tidies it."""
    files, size = con.execute(
        "select sum(file_count), sum(file_size_bytes) from ducklake_table_info('tape')"
    ).fetchall()[0]
    (oldest,) = con.execute(
        "select min(snapshot_time) from (from ducklake_snapshots('tape') "
        "order by snapshot_id desc offset 1)"
    ).fetchall()[0]
    sentence = f"{files or 0} files, {(size or 0) / 2**20:.1f} MiB"
    if oldest and now - oldest > UNTIDY:
        return "lake", "warn", f"{sentence}; not tidied since {oldest:%Y-%m-%d}: collect with it"
    return "lake", "ok", sentence


def _clock(con: "duckdb.DuckDBPyConnection", now: datetime) -> Iterator[Line]:
    newest = con.execute("select max(finished_at) from scan where origin = 'live'").fetchall()[0][0]
    if newest and newest > now + FUTURE:
        yield (
            "clock",
            "bad",
            f"the tape was written at {newest:%Y-%m-%d %H:%M}, after now: set the clock",
        )
    else:
        yield "clock", "ok", f"{now:%Y-%m-%d %H:%M} UTC"


def _idle(db: Where, settings: "Config") -> set[str]:
    """Return the sources that neither the configuration asks nor a service was told to."""
    from gputape.app.service import status
    from gputape.app.service.schedule import jobs
    from gputape.scrapers.registry import ADAPTERS

    left = status.moments(status.read(db).get("next"))
    asked = {name.partition("/")[0] for name in (*(job.name for job in jobs(settings)), *left)}
    return {found.PROVIDER.slug for found in ADAPTERS} - asked


def _sources(
    con: "duckdb.DuckDBPyConnection", db: Where, idle: set[str], now: datetime
) -> Iterator[Line]:
    waits = _breakers(con, db)
    for slug, good, parts, failing, sentence, cadence in con.execute(SOURCES).fetchall():
        if slug in idle:
            known = f"last good {_ago(now - good)} ago" if good else "never answered"
            yield f"source {slug}", "ok", f"{known}; not asked any more: it is not turned on"
            continue
        if good is None:
            yield f"source {slug}", "bad", f"never answered: {sentence}{waits.get(slug, '')}"
            continue
        age = now - good
        late = age > 2 * timedelta(seconds=cadence or 3600)
        trouble = f"; {failing} of {parts} parts fail: {sentence}" if failing else ""
        state = "bad" if failing == parts else "warn" if failing or late else "ok"
        yield (
            f"source {slug}",
            state,
            f"last good {_ago(age)} ago{', stale' if late else ''}{trouble}{waits.get(slug, '')}",
        )


def _imported(con: "duckdb.DuckDBPyConnection") -> Iterator[Line]:
    sources, newest = con.execute(IMPORTED).fetchall()[0]
    if sources:
        yield "imported", "ok", f"{sources} sources, the newest price of {newest:%Y-%m-%d %H:%M}"


def _breakers(con: "duckdb.DuckDBPyConnection", db: Where) -> dict[str, str]:
    """Say of each source that fails how often it did in a row, and when it is asked again."""
    from gputape.app.service import status
    from gputape.app.service.attempts import courses

    asked_next = status.moments(status.read(db).get("next"))
    said = {}
    for name, course in courses(con, ()).items():
        if course.failures:
            again = asked_next.get(name)
            when = f", asked again {again:%Y-%m-%d %H:%M}" if again and status.runs(db) else ""
            said[name] = f"; {course.failures} failures in a row, breaker {course.breaker}{when}"
    return said


def _rejects(con: "duckdb.DuckDBPyConnection") -> Iterator[Line]:
    rows: list[tuple[Any, ...]] = con.execute(
        "select reason, count(*), count(distinct sentence), any_value(sentence order by sentence) "
        "from v_rejects where present group by reason order by reason"
    ).fetchall()
    for reason, n, kinds, sentence in rows:
        unknown = reason.startswith("unknown")
        shown = f"{n}: {sentence}" + (f" (and {kinds - 1} more)" if kinds > 1 else "")
        yield f"rejects {reason}", "warn" if unknown else "ok", shown if unknown else str(n)


def _held(con: "duckdb.DuckDBPyConnection") -> Iterator[Line]:
    held = con.execute(
        "select count(*) from v_offers where state = 'suspect' or held_reason is not null"
    ).fetchall()[0][0]
    if held:
        yield "held back", "warn", f"{held} prices wait for a second fetch to agree"


def _alerts(db: Where, settings: "Config", now: datetime) -> Iterator[Line]:
    """Say what fires, what waits to be sent, and how each channel does."""
    from gputape.app.service.alerting import standing
    from gputape.store.errors import TapeError

    try:
        found = standing(db, settings, now)
    except TapeError as error:
        yield "alerts", "bad", str(error)
        return
    quiet = f", {found.silences} silences" if found.silences else ""
    yield "alerts", "ok", f"{found.firing} firing{quiet}"
    age = now - found.oldest if found.oldest else timedelta()
    late = f", the oldest for {_ago(age)}" if found.oldest else ""
    state = "bad" if found.dead else "warn" if age > OLD_MESSAGE else "ok"
    yield "outbox", state, f"{found.waiting} waiting{late}, {found.dead} given up"
    for channel in found.channels:
        lacks = found.lacking.get(channel.channel)
        fails = f"{channel.failures} failures in a row: {channel.error}" if channel.failures else ""
        sent = f"last sent {_ago(now - channel.sent_at)} ago" if channel.sent_at else "nothing sent"
        yield (
            f"channel {channel.channel}",
            "bad" if lacks else "warn" if fails else "ok",
            lacks or fails or sent,
        )


def _ago(age: timedelta) -> str:
    hours = age.total_seconds() / 3600
    return (
        f"{hours * 60:.0f} min"
        if hours < 1
        else f"{hours:.0f} h"
        if hours < 72
        else f"{hours / 24:.0f} d"
    )
