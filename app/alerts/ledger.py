"""What alerts remember, in SQLite beside the tape: `tape.alerts.db` (a lake's: in the data folder).

One transaction (`Ledger.whole`) holds a change of state and the messages that follow from it.

In it too: the outbox (`outbox.py`) and what was judged (`journal.py`).
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import fields
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from gputape.app.alerts.engine import ACTIVE, Key
from gputape.app.alerts.journal import Journal
from gputape.app.alerts.outbox import Outbox, moment, text, whole
from gputape.app.alerts.routing import Silence
from gputape.app.alerts.rules import Rule
from gputape.app.alerts.states import Name, State
from gputape.store.errors import BadInput, Busy, Damaged, TooNew
from gputape.store.places import Where, data_folder

KEPT_DAYS = (("outbox", "sent_at", 90), ("silence", "until", 90), ("event", "noted_at", 400),
             ("trail", "at", 400))  # fmt: skip
MIGRATIONS = (
    """
    create table meta (key text primary key, value text not null);
    create table cursor (
        provider text not null, part text not null, scan_id integer not null,
        primary key (provider, part)
    );
    create table rule (
        name text primary key, version text not null, created_at text not null, expired_at text
    );
    create table added (name text primary key, said text not null, created_at text not null);
    create table state (
        rule text not null, fingerprint text not null, name text not null, said text not null,
        words text not null, primary key (rule, fingerprint)
    ) without rowid;
    create index state_name on state (name);
    create table evaluation (
        rule text not null, fingerprint text not null, slot integer not null,
        number integer not null, at text not null, scan_id integer not null, price text,
        reference text, state text not null, gate text not null, sentence text not null,
        primary key (rule, fingerprint, slot)
    ) without rowid;
    create table event (
        id text not null, noted_at text not null, at text not null, rule text not null,
        fingerprint text not null, words text not null, kind text not null,
        episode integer not null, gate text not null, price text, baseline text, sentence text
    );
    create index event_noted on event (noted_at);
    create table silence (
        id integer primary key, kind text not null, word text not null, until text not null,
        reason text not null, made_at text not null
    );
    create table renamed (old text not null, new text not null, at text not null);
    create table trail (
        rule text not null, at text not null, value text not null, who text,
        primary key (rule, at)
    ) without rowid;
    create table waiting (
        id text not null, channel text not null, rule text not null, due text not null,
        payload text not null, primary key (id, channel)
    ) without rowid;
    create table outbox (
        id text not null, channel text not null, rule text not null, kind text not null,
        payload text not null, state text not null default 'waiting', created_at text not null,
        next_try text not null, tries integer not null default 0, claimed_until text,
        sent_at text, error text, primary key (id, channel)
    ) without rowid;
    create index outbox_due on outbox (state, next_try);
    """,
    """
    alter table outbox add column failing_since text;
    create index outbox_of on outbox (channel, state, next_try, id);
    create index outbox_ended on outbox (channel, sent_at, state);
    create index outbox_claimed on outbox (channel, claimed_until) where claimed_until is not null;
    create table channel (
        name text primary key, failures integer not null default 0, paused_until text,
        sent_at text, error text, told_at text
    ) without rowid;
    """,
)


def place(db: Where) -> Path:
    """Return where the ledger of a tape is."""
    if isinstance(db, Path):
        return db.with_suffix(".alerts.db")
    return data_folder() / "lake.alerts.db"


class Ledger:
    """The verbs on what is remembered. Every moment is given; none is asked of a clock."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.con = sqlite3.connect(path, timeout=10, isolation_level=None,
                                       check_same_thread=False)  # fmt: skip
            self.con.execute("pragma journal_mode = wal")
            self.con.execute("pragma synchronous = full")
            self._migrate(path)
            self.outbox, self.journal = Outbox(self.con), Journal(self.con)
        except sqlite3.OperationalError as error:
            raise Busy(f"{path} can not be opened ({error}): is another program at it?") from None
        except sqlite3.DatabaseError as error:
            raise Damaged(f"{path} is no ledger of alerts ({error}): move it away") from None

    def _migrate(self, path: Path) -> None:
        with self.whole():
            (version,) = self.con.execute("pragma user_version").fetchone()
            if version > len(MIGRATIONS):
                raise TooNew(f"{path} was written by a later gputape: upgrade it")
            for script in MIGRATIONS[version:]:
                for statement in script.split(";"):
                    self.con.execute(statement)
            self.con.execute(f"pragma user_version = {len(MIGRATIONS)}")

    def close(self) -> None:
        """Let go of the file."""
        self.con.close()

    def whole(self) -> AbstractContextManager[None]:
        """Do something whole or not at all; nobody else writes meanwhile."""
        return whole(self.con)

    # -- time and the tape --------------------------------------------------------------------

    def now(self, now: datetime) -> datetime:
        """Return the later of `now` and what it ever was: a clock set back passes no time."""
        found = self.con.execute("select value from meta where key = 'now'").fetchone()
        return max(now, moment(found[0])) if found else now

    def note_now(self, now: datetime) -> None:
        """Remember how late it is."""
        self.con.execute("insert or replace into meta values ('now', ?)", [text(now)])

    @property
    def begun(self) -> bool:
        """Whether anything was ever taken: what a tape had before is history."""
        return bool(self.con.execute("select 1 from meta where key = 'begun'").fetchone())

    def cursors(self) -> dict[tuple[str, str], int]:
        """Return the last scan of each part that was taken."""
        rows = self.con.execute("select provider, part, scan_id from cursor")
        return {(provider, part): scan_id for provider, part, scan_id in rows}

    def note_cursors(self, found: Mapping[tuple[str, str], int]) -> None:
        """Remember which scans were taken."""
        self.con.execute("insert or ignore into meta values ('begun', '')")
        self.con.executemany("insert or replace into cursor values (?, ?, ?)",
                             [(*part, scan_id) for part, scan_id in found.items()])  # fmt: skip

    # -- rules --------------------------------------------------------------------------------

    def known_rules(self) -> dict[str, tuple[str, datetime, bool]]:
        """Return of each rule that ever ran: its version, when it began, whether it expired."""
        rows = self.con.execute("select name, version, created_at, expired_at from rule")
        return {name: (v, moment(at), ended is not None) for name, v, at, ended in rows}

    def note_rule(self, rule: Rule, now: datetime) -> None:
        """Remember a rule's version; it keeps the moment at which it began."""
        self.con.execute(
            "insert into rule values (?, ?, ?, null) on conflict do update set version = ?2",
            [rule.name, rule.version, text(now)],
        )

    def note_expired(self, name: str, now: datetime) -> None:
        """Remember that a rule's time is over."""
        self.con.execute("update rule set expired_at = ? where name = ?", [text(now), name])

    def added_rules(self) -> dict[str, Rule]:
        """Return the rules that were added by command."""
        rows = self.con.execute("select name, said from added order by name").fetchall()
        return {name: Rule.model_validate_json(said) for name, said in rows}

    def add_rule(self, rule: Rule, now: datetime) -> None:
        """Keep a rule; one of that name is replaced and counts as edited."""
        self.con.execute("insert or replace into added values (?, ?, ?)",
                         [rule.name, rule.model_dump_json(), text(now)])  # fmt: skip

    def remove_rule(self, name: str) -> bool:
        """Forget a rule and what is remembered for it; return whether there was one."""
        gone = self.con.execute("delete from added where name = ?", [name]).rowcount > 0
        for table, column in (("rule", "name"), ("state", "rule"), ("evaluation", "rule"),
                              ("trail", "rule"), ("waiting", "rule")):  # fmt: skip
            if gone:
                self.con.execute(f"delete from {table} where {column} = ?", [name])
        return gone

    # -- states -------------------------------------------------------------------------------

    def active(self) -> dict[Key, tuple[State, str]]:
        """Return what is pending, firing or frozen, with its words."""
        rows = self.con.execute(
            "select rule, fingerprint, said, words from state where name in (?, ?, ?)",
            sorted(ACTIVE),
        )
        return {(rule, print_): (_state(said), words) for rule, print_, said, words in rows}

    def states(self, fingerprints: Iterable[str]) -> dict[Key, State]:
        """Return what is remembered of some subjects, and everything that is active."""
        self.con.execute("create temp table if not exists asked (fingerprint text primary key)")
        self.con.execute("delete from asked")
        self.con.executemany("insert or ignore into asked values (?)",
                             [(print_,) for print_ in fingerprints])  # fmt: skip
        rows = self.con.execute(
            "select rule, fingerprint, said from state where fingerprint in asked "
            "or name in (?, ?, ?)",
            sorted(ACTIVE),
        )
        return {(rule, print_): _state(said) for rule, print_, said in rows}

    def tidy(self, now: datetime) -> None:
        """Forget what nobody asks for any more: delivered messages, old silences, old events."""
        for table, column, days in KEPT_DAYS:
            self.con.execute(f"delete from {table} where {column} < ?",
                             [text(now - timedelta(days=days))])  # fmt: skip

    def keep(self, states: Iterable[tuple[Key, State | None, str]]) -> None:
        """Remember states; None forgets one."""
        kept, gone = [], []
        for (rule, print_), state, words in states:
            if state is None:
                gone.append((rule, print_))
            else:
                kept.append((rule, print_, state.name, _said(state), words))
        self.con.executemany("delete from state where (rule, fingerprint) = (?, ?)", gone)
        self.con.executemany(
            "insert into state values (?, ?, ?, ?, ?) on conflict do update set "
            "name = ?3, said = ?4, words = case when ?5 = '' then words else ?5 end",
            kept,
        )

    def subjects(self, rule: str) -> dict[str, str]:
        """Return the fingerprints and words of what a rule has judged."""
        rows = self.con.execute("select fingerprint, words from state where rule = ?", [rule])
        return dict(rows.fetchall())

    def note_renamed(self, found: Iterable[tuple[str, str, datetime]]) -> None:
        """Remember which series is called otherwise since when."""
        self.con.executemany("insert into renamed values (?, ?, ?)",
                             [(old, new, text(at)) for old, new, at in found])  # fmt: skip

    def renamed(self) -> list[tuple[str, str, datetime]]:
        """Return (old fingerprint, new fingerprint, when), in order."""
        rows = self.con.execute("select old, new, at from renamed order by at")
        return [(old, new, moment(at)) for old, new, at in rows]

    # -- measures -----------------------------------------------------------------------------

    def trail(self, rule: str) -> list[tuple[datetime, Decimal, str]]:
        """Return what a rule's measure was, oldest first."""
        rows = self.con.execute("select at, value, who from trail where rule = ? order by at",
                                [rule])  # fmt: skip
        return [(moment(at), Decimal(value), who) for at, value, who in rows]

    def note_trail(self, rule: str, points: Iterable[tuple[datetime, Decimal, str]]) -> None:
        """Remember what a rule's measure was."""
        rows = [(rule, text(at), f"{value:f}", who) for at, value, who in points]
        self.con.executemany("insert or replace into trail values (?, ?, ?, ?)", rows)

    # -- silences -----------------------------------------------------------------------------

    def silences(self, now: datetime) -> list[Silence]:
        """Return the silences that hold."""
        rows = self.con.execute(
            "select kind, word, until, reason from silence where until > ? order by until",
            [text(now)],
        )
        return [Silence(kind=kind, word=word, until=moment(until), reason=reason)
                for kind, word, until, reason in rows]  # fmt: skip

    def silence(self, silence: Silence, now: datetime) -> None:
        """Add a silence; it ends by itself."""
        self.con.execute(
            "insert into silence (kind, word, until, reason, made_at) values (?, ?, ?, ?, ?)",
            [silence.kind, silence.word, text(silence.until), silence.reason, text(now)],
        )

    def lift(self, kind: str, word: str, now: datetime) -> int:
        """End silences of a word now; return how many there were."""
        return self.con.execute(
            "update silence set until = ?1 where kind = ?2 and word = ?3 and until > ?1",
            [text(now), kind, word],
        ).rowcount


def _said(state: State) -> str:
    """Return a state as JSON without what is as it was in the beginning."""
    known = ((name, getattr(state, name)) for name in KINDS)
    return json.dumps({name: _plain(v) for name, v in known if v and v != Name.LEARNING})


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return text(value)
    return f"{value:f}" if isinstance(value, Decimal) else value


KINDS = {field.name: str(field.type) for field in fields(State)}


def _state(said: str) -> State:
    return State(**{name: _read(KINDS[name], value) for name, value in json.loads(said).items()
                    if name in KINDS})  # fmt: skip


def _read(kind: str, value: Any) -> Any:
    if "datetime" in kind:
        return moment(value)
    if "Decimal" in kind:
        return Decimal(value)
    return Name(value) if "Name" in kind else value


def open_ledger(db: Where) -> Ledger:
    """Open (and make) the ledger of a tape. Raises `Busy`, `Damaged`, `TooNew`."""
    return Ledger(place(db))


def silence_of(kind: str, word: str, until: datetime, reason: str) -> Silence:
    """Return a silence. Raises `BadInput` for a kind that there is not."""
    if kind not in ("rule", "gpu", "provider"):
        raise BadInput(f"{kind!r} can not be silenced: one of rule, gpu, provider")
    return Silence(kind=kind, word=word, until=until, reason=reason)
