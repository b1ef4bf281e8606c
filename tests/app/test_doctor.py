"""`gputape doctor`: what works, what does not, and what to do about it."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gputape.scrapers.registry import ADAPTERS
from gputape.store import tape as store
from gputape.store.record import Recorder
from gputape.store.scan import Listing, Scan

Run = Callable[..., Any]


def findings(gputape: Run, **where: Any) -> dict[str, tuple[str, str]]:
    """Return what the doctor looked at, with state and finding."""
    ran = gputape("doctor", "--format", "json", **where)
    assert ran.code == any(line["state"] == "bad" for line in ran.json)
    return {line["what"]: (line["state"], line["finding"]) for line in ran.json}


def test_no_tape_is_bad(gputape: Run, tmp_path: Path) -> None:
    """Without a tape the doctor ends with 1 and says how to get one."""
    ran = gputape("doctor", db=tmp_path / "none.duckdb")
    (line,) = [line for line in ran.out.splitlines() if line.startswith("tape ")]

    assert ran.code == 1
    assert line.split()[1] == "bad"
    assert "run `gputape collect`, or `gputape demo`" in line


def test_every_source_has_a_line(gputape: Run) -> None:
    """Each provider that was asked is listed with the age of its last good answer."""
    found = findings(gputape)

    for adapter in ADAPTERS:
        assert " ago" in found[f"source {adapter.PROVIDER.slug}"][1]


def test_a_source_whose_parts_fail_is_a_warning(gputape: Run) -> None:
    """Azure answered for two regions of sixty: the line counts them and says why."""
    state, finding = findings(gputape)["source azure"]

    assert state == "warn"
    assert "58 of 60 parts fail: " in finding
    assert "not in the recording" in finding


def test_an_unknown_gpu_is_a_warning_with_the_line_to_add(gputape: Run) -> None:
    """A spelling that no alias knows is shown as `gpus.toml` wants it."""
    state, finding = findings(gputape)["rejects unknown_gpu"]

    assert state == "warn"
    assert 'aliases = ["H100T"]' in finding


def test_a_quote_without_a_price_is_nothing_to_worry_about(gputape: Run) -> None:
    """Other rejects are counted and fine."""
    state, finding = findings(gputape)["rejects no_price"]

    assert state == "ok"
    assert int(finding) > 1


def test_a_price_that_waits_is_a_warning(gputape: Run, kinds: Path) -> None:
    """Prices held back are counted: one jumped, one is new and not believed."""
    assert findings(gputape, db=kinds)["held back"] == (
        "warn",
        "2 prices wait for a second fetch to agree",
    )


def test_what_was_imported_is_no_stale_source(gputape: Run, tmp_path: Path) -> None:
    """A table of last year has one line, with its newest day; nobody asks it, so it is not late."""
    file, db = tmp_path / "prices.csv", tmp_path / "imported.duckdb"
    file.write_text("day,who,gpu,count,usd,sku\n2025-07-01,acme,H100 SXM,1,2.5,one\n"
                    "2025-07-02,bazaar,H100 SXM,1,2.4,two\n")  # fmt: skip
    columns = ("observed_at=day", "provider=who", "gpu=gpu", "gpu_count=count", "price=usd",
               "sku=sku")  # fmt: skip
    ran = gputape("import", "csv", file, *(w for one in columns for w in ("--column", one)), db=db)
    found = findings(gputape, db=db)

    assert ran.code == 0, ran.err
    assert found["imported"] == ("ok", "2 sources, the newest price of 2025-07-02 00:00")
    assert not [what for what in found if what.startswith("source ")]


def test_a_source_that_was_turned_off_is_not_stale(gputape: Run, tmp_path: Path) -> None:
    """It says when it last answered, and that nobody asks it now."""
    (tmp_path / "gputape.toml").write_text("[providers.azure]\nenabled = false\n")
    state, finding = findings(gputape)["source azure"]

    assert state == "ok"
    assert finding.endswith(" ago; not asked any more: it is not turned on")


def test_what_was_just_seen_is_ok_and_what_is_late_is_not(gputape: Run, kinds: Path) -> None:
    """Five hours without an answer are late for a source that is asked every hour."""
    found = findings(gputape, db=kinds)

    assert found["source bazaar"][0] == "ok"
    assert found["source slow"] == ("warn", "last good 5 h ago, stale")


def test_a_source_that_never_answered_is_bad(gputape: Run, tmp_path: Path) -> None:
    """A provider that only ever failed is bad, with the reason."""
    db = tmp_path / "tape.duckdb"
    (tmp_path / "empty/oracle").mkdir(parents=True)
    (tmp_path / "empty/oracle/pages.json").write_text("[]")
    gputape("collect", "--replay", "empty", db=db)
    state, finding = findings(gputape, db=db)["source oracle"]

    assert state == "bad"
    assert finding.startswith("never answered: https://")


def test_a_source_that_stopped_answering_is_bad(gputape: Run, root: Path, tmp_path: Path) -> None:
    """One good look long ago does not hide that every part fails now."""
    db = tmp_path / "tape.duckdb"
    (tmp_path / "empty/oracle").mkdir(parents=True)
    (tmp_path / "empty/oracle/pages.json").write_text("[]")
    gputape("collect", "oracle", "--replay", root / "fixtures", db=db)
    gputape("collect", "oracle", "--replay", "empty", db=db)
    state, finding = findings(gputape, db=db)["source oracle"]

    assert state == "bad"
    assert "1 of 1 parts fail" in finding


def test_a_tape_from_the_future_is_bad(gputape: Run, tmp_path: Path) -> None:
    """A clock that went back is noticed: scans would be later than now."""
    db, later = tmp_path / "tape.duckdb", datetime.now(UTC) + timedelta(days=1)
    with store.writing(db, later) as con:
        scan = Scan(run_id=1, provider="acme", part="list", started_at=later, finished_at=later,
                    observed_at=later, status="ok", parser_revision=1, normaliser="1")  # fmt: skip
        Recorder(con).record(scan, Listing())
        store.publish(con, db)
    state, finding = findings(gputape, db=db)["clock"]

    assert state == "bad"
    assert "set the clock" in finding


def test_keys_are_shown_as_set_and_never_themselves(gputape: Run, tmp_path: Path) -> None:
    """A key from the environment or from a file counts as set, and is not printed."""
    (tmp_path / "key").write_text("sesame")
    ran = gputape("doctor", LAMBDA_API_KEY="sesame", GCP_API_KEY_FILE="key")
    keys = {line.split()[1]: line for line in ran.out.splitlines() if line.startswith("key ")}

    assert " set (lambda_labs; never needed)" in keys["LAMBDA_API_KEY"]
    assert " set (gcp; never needed)" in keys["GCP_API_KEY"]
    assert "not set (aws; never needed)" in keys["AWS_ACCESS_KEY_ID"]
    assert "sesame" not in ran.out


def test_a_configuration_that_can_not_be_read_is_bad(gputape: Run, tmp_path: Path) -> None:
    """The doctor goes on, and says what is wrong with the file."""
    (tmp_path / "gputape.toml").write_text("[providers.coreweave]\nenable = true\n")
    found = findings(gputape)

    assert found["config"][0] == "bad"
    assert "did you mean enabled?" in found["config"][1]
    assert found["tape"][0] == "ok"


def test_a_configured_provider_that_does_not_exist_is_bad(gputape: Run, tmp_path: Path) -> None:
    """A misspelt provider in the file is found before a collection refuses it."""
    (tmp_path / "gputape.toml").write_text("[providers.corewaeve]\nenabled = true\n")

    assert "did you mean coreweave?" in findings(gputape)["config"][1]


def test_the_disk_has_a_line(gputape: Run) -> None:
    """Free space, tape and archive are given with their sizes."""
    state, finding = findings(gputape)["disk"]

    assert state in ("ok", "bad")
    assert "GiB free; tape " in finding


def test_other_formats(gputape: Run) -> None:
    """Findings come out as data too."""
    lines = gputape("doctor", "--format", "jsonl").out.splitlines()

    assert {tuple(json.loads(line)) for line in lines} == {("what", "state", "finding")}


# -- the service ------------------------------------------------------------------------------


def test_a_source_that_fails_says_how_often_and_what_comes_of_it(
    gputape: Run, tmp_path: Path
) -> None:
    """Failures in a row are counted, and an open breaker is named."""
    db, now = tmp_path / "tape.duckdb", datetime.now(UTC)
    with store.writing(db, now) as con:
        recorder = Recorder(con)
        for n in range(6):
            at = now - timedelta(hours=6 - n)
            recorder.record(Scan(
                run_id=n, provider="acme", part="list", started_at=at, finished_at=at,
                observed_at=at, status="unreachable" if n else "ok", sentence="gone" if n else None,
                parser_revision=1, normaliser="1",
            ), None if n else Listing())  # fmt: skip
        store.publish(con, db)
    state, finding = findings(gputape, db=db)["source acme"]

    assert state == "bad"
    assert finding.endswith("; 5 failures in a row, breaker open")


def test_nobody_runs_it(gputape: Run, kinds: Path) -> None:
    """A tape that no service ever had is fine, and says how to have one."""
    state, finding = findings(gputape, db=kinds)["service"]

    assert (state, finding) == ("ok", "not running: `gputape run`, or collect by hand")


def test_a_service_that_runs_is_named_and_a_refused_file_is_bad(
    gputape: Run, tmp_path: Path, kinds: Path
) -> None:
    """What the service left is read: its process, and why a changed file does not count."""
    from gputape.app.service import status

    db = tmp_path / "tape.duckdb"
    db.write_bytes(kinds.read_bytes())
    status.write(db, {"began_at": "then", "config": {"refused": None}})
    ended = findings(gputape, db=db)["service"]
    with status.sole(db):
        running = findings(gputape, db=db)["service"]
        status.write(db, {"began_at": "then", "config": {"refused": "port: no"}})
        refused = findings(gputape, db=db)["service"]

    assert ended == ("ok", "not running; ended, or was killed, after then")
    assert running == ("ok", f"process {os.getpid()} since then")
    assert refused[0] == "bad"
    assert "a changed file was refused (port: no)" in refused[1]


def test_channels_and_the_outbox_have_lines(gputape: Run, tmp_path: Path, kinds: Path) -> None:
    """A channel whose variable is not set is bad; what waits too long is a warning."""
    from gputape.app.alerts.ledger import open_ledger
    from gputape.app.alerts.outbox import Row

    db, then = tmp_path / "tape.duckdb", datetime.now(UTC) - timedelta(hours=5)
    db.write_bytes(kinds.read_bytes())
    (tmp_path / "gputape.toml").write_text(
        "[alerts.channels.good]\nurl = 'ntfy://topic'\n"
        "[alerts.channels.team]\nurl = '${TEAM_URL}'\n"
    )
    ledger = open_ledger(db)
    ledger.outbox.post(Row("1", "good", "rule", "fired", {}, then, then, 0, None))
    ledger.close()
    found = findings(gputape, db=db)

    assert found["alerts"] == ("ok", "0 firing")
    assert found["outbox"] == ("warn", "1 waiting, the oldest for 5 h, 0 given up")
    assert found["channel good"] == ("ok", "nothing sent")
    assert found["channel team"] == ("bad", "TEAM_URL is not set: give it or TEAM_URL_FILE")
