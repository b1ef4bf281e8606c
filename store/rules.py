"""What must be true of a tape, as questions whose answer is empty.

Each returns what is wrong: provider, sku, when, and a word about it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

SLICE = 2_000_000  # rows of the log


class Depth(IntEnum):
    """How much is asked."""

    QUICK = 0
    """What reads no more than a few columns: what a copy is checked with."""
    USUAL = 1
    DEEP = 2
    """Every frame, every rolled day, every interval."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that must be true."""

    name: str
    says: str
    """What is wrong when it is not."""
    sql: str
    depth: Depth = Depth.QUICK


def _of_series(where: str, detail: str, table: str = "price_log", seen: str = "observed_at") -> str:
    """Return a question about rows `p` of a table that has a series."""
    return (
        f"select s.provider, s.sku, p.{seen} as seen, {detail} as detail from {table} p {where}"
    ).replace("{series}", "left join series s on s.series_id = p.series_id")


def _pointing(table: str, column: str, seen: str = "null::timestamptz") -> Rule:
    """Return the rule that a table's column names scans that there are."""
    provider = (
        "p.provider"
        if table in ("scan", "reject", "interruption", "token_price")
        else "null::varchar"
    )
    return Rule(
        f"{table}.{column}",
        f"rows of {table} name a scan that there is not",
        f"select {provider} as provider, null::varchar as sku, {seen} as seen, "
        f"'scan ' || p.{column} as detail from {table} p "
        f"anti join scan c on c.scan_id = p.{column} where p.{column} is not null",
    )


# -- the scan log ---------------------------------------------------------------------------

SCANS = (
    Rule(
        "scan ids",
        "scans share an id",
        "select any_value(provider) as provider, null::varchar as sku, min(observed_at) as seen, "
        "'scan ' || scan_id as detail from scan group by scan_id having count(*) > 1",
    ),
    Rule(
        "scan order",
        "scan ids do not rise in the order of recording",
        "select provider, null::varchar as sku, observed_at as seen, 'scan ' || scan_id as detail "
        "from (select *, lag(scan_id) over (order by rowid) as before from scan) "
        # of a lake's collectors each commits when it can
        "where scan_id < before and exists (from duckdb_databases() "
        "where database_name = current_database() and type = 'duckdb')",
        Depth.USUAL,
    ),
    Rule(
        "looks in order",
        "looks of the schedule are older than the look before them",
        """
        select provider, null::varchar as sku, observed_at as seen,
            printf('part %s, scan %d', part, scan_id) as detail
        from (
            select *, max(observed_at) over (partition by provider, part order by scan_id
                rows between unbounded preceding and 1 preceding) as before
            from scan where status in ('ok', 'unchanged')
        ) where observed_at < before and origin in ('live', 'replay')
        """,
    ),
    _pointing("scan", "corrects", "p.observed_at"),
    _pointing("page", "scan_id", "p.fetched_at"),
    _pointing("reject", "scan_id", "p.seen_at"),
    _pointing("interruption", "scan_id", "p.observed_at"),
    _pointing("token_price", "scan_id", "p.observed_at"),
    _pointing("series_fact", "scan_id"),
    Rule(
        "counts",
        "scans count other rows than they wrote",
        # what a scan of the past sets right at the look after it is no news of its own: other time
        """
        with wrote as (
            select p.scan_id, count(*) as every,
                count(*) filter (where p.state = 'firm') as firm,
                count(*) filter (where p.state = 'suspect') as suspects,
                count(*) filter (where p.state = 'suspect' and p.price is not null) as doubted,
                count(*) filter (where p.state = 'gone') as gone
            from price_log p
            join scan c on c.scan_id = p.scan_id and c.observed_at = p.observed_at
            group by p.scan_id
        ),
        counted as (
            select c.*, coalesce(w.every, 0) as every, coalesce(w.firm, 0) as firm,
                coalesce(w.suspects, 0) as held, coalesce(w.doubted, 0) as doubted,
                coalesce(w.gone, 0) as went
            from scan c left join wrote w using (scan_id)
        )
        select provider, null::varchar as sku, observed_at as seen, printf(
            'part %s: new %d, changed %d, suspect %d, gone %d of %d offers; '
            'wrote firm %d, suspect %d, gone %d', part, new, changed, suspects, gone, offers,
            firm, held, went) as detail
        from counted
        where case when status <> 'ok' then every > 0 else
            held <> suspects or went <> gone or offers <> new + changed + unchanged + doubted
            or firm not between new + changed and new + changed + unchanged end
        """,
        Depth.USUAL,
    ),
)

# -- prices ---------------------------------------------------------------------------------

PRICES = (
    Rule(
        "price without scan",
        "prices point to a scan that there is not",
        _of_series("anti join scan c on c.scan_id = p.scan_id {series}", "'scan ' || p.scan_id"),
    ),
    Rule(
        "price without series",
        "prices belong to a series that there is not",
        "select null::varchar as provider, null::varchar as sku, p.observed_at as seen, "
        "'series ' || p.series_id as detail "
        "from price_log p anti join series s on s.series_id = p.series_id",
    ),
    Rule(
        "replaces",
        "corrections replace a price of a scan that there is not",
        _of_series(
            "anti join scan c on c.scan_id = p.replaces {series} where p.replaces is not null",
            "'scan ' || p.replaces",
        ),
    ),
    Rule(
        "another provider's scan",
        "prices come from a scan of another provider",
        _of_series(
            "join scan c on c.scan_id = p.scan_id {series} where s.provider <> c.provider",
            "printf('scan %d of %s', p.scan_id, c.provider)",
        ),
    ),
    Rule(
        "moment of a price",
        "prices stand at a moment at which their scan did not look",
        _of_series(
            "join scan c on c.scan_id = p.scan_id {series} where p.observed_at <> c.observed_at "
            "and c.origin in ('live', 'replay')",
            "'scan ' || p.scan_id",
        ),
        Depth.USUAL,
    ),
    Rule(
        "price",
        "prices are not what their state says",
        _of_series(
            "{series} where case p.state when 'firm' then p.price is null or p.price <= 0 "
            "when 'suspect' then p.price <= 0 when 'gone' then p.price is not null "
            "when 'unpriced' then p.price is not null else true end",
            "concat(p.state, ' at ', coalesce(p.price::varchar, 'no price'))",
        ),
    ),
    Rule(
        "v_prices",
        "intervals of `v_prices` overlap or leave a gap",
        """
        select provider, sku, valid_from as seen, concat('until ', valid_to) as detail
        from (select *, lead(valid_from) over (partition by series_id order by valid_from) as next
              from v_prices)
        where valid_to is distinct from next or valid_to <= valid_from
        """,
        Depth.DEEP,
    ),
)

# -- series ---------------------------------------------------------------------------------

SERIES = (
    Rule(
        "series ids",
        "series share an id",
        "select any_value(provider) as provider, min(sku) as sku, min(first_seen) as seen, "
        "'series ' || series_id as detail from series group by series_id having count(*) > 1",
    ),
    Rule(
        "series keys",
        "series share their words",
        "select provider, sku, min(first_seen) as seen, printf('%d in %s', count(*), region) "
        "as detail from series group by provider, sku, region, zone, option, tier, term_months, "
        "payment, source having count(*) > 1",
    ),
    Rule(
        "series numbers",
        "series ids do not belong to their provider's number",
        # series_id = n * 1024 + the provider's number (schema/002_history.sql)
        "select s.provider, s.sku, s.first_seen as seen, 'series ' || s.series_id as detail "
        "from series s left join numbered n using (provider) "
        "where n.number is null or s.series_id % 1024 <> n.number",
    ),
    Rule(
        "provider numbers",
        "providers share a number",
        "select min(provider) as provider, null::varchar as sku, null::timestamptz as seen, "
        "'number ' || number as detail from numbered group by number having count(*) > 1 "
        "union all select provider, null, null, 'numbered twice' from numbered "
        "group by provider having count(*) > 1",
    ),
    Rule(
        "series without facts",
        "series were never understood, and so no question finds them",
        "select provider, sku, first_seen as seen, 'series ' || series_id as detail "
        "from series s anti join series_fact f using (series_id)",
    ),
    Rule(
        "series without price",
        "series have no row in the log",
        "select provider, sku, first_seen as seen, 'series ' || series_id as detail "
        "from series s anti join price_log p using (series_id)",
    ),
    Rule(
        "fact without series",
        "facts belong to a series that there is not",
        "select null::varchar as provider, gpu as sku, null::timestamptz as seen, "
        "'series ' || series_id as detail from series_fact f anti join series s using (series_id)",
    ),
    Rule(
        "facts",
        "series were understood twice by one scan",
        _of_series(
            "{series}",
            "'scan ' || p.scan_id",
            "(select series_id, scan_id, null::timestamptz as observed_at from series_fact "
            "group by all having count(*) > 1)",
        ),
    ),
    Rule(
        "first seen",
        "series were first seen at another moment than their first row",
        """
        with known as (
            select s.series_id, provider, sku, least(s.first_seen, min(e.first_seen)) as said
            from series s left join series_earlier e using (series_id)
            group by s.series_id, provider, sku, s.first_seen
        )
        select k.provider, k.sku, min(p.observed_at) as seen, concat('said ', k.said) as detail
        from known k join price_log p using (series_id)
        group by k.series_id, k.provider, k.sku, k.said having min(p.observed_at) <> k.said
        """,
        Depth.USUAL,
    ),
)

# -- hosted tokens --------------------------------------------------------------------------

TOKENS = (
    Rule(
        "token price",
        "token prices are not what their state says",
        """
        select provider, model as sku, observed_at as seen, concat(state, ' at ', price_in, ' and ',
            price_out) as detail from token_price
        where case state when 'listed' then coalesce(price_in, 0) <= 0
            or coalesce(price_out, 0) <= 0 or price_cached <= 0
            else price_in is not null or price_out is not null end
        """,
    ),
)

RULES = SCANS + PRICES + SERIES + TOKENS

# -- the whole log, a slice at a time -------------------------------------------------------


def intervals(con: "duckdb.DuckDBPyConnection") -> Iterator[Rule]:
    """Yield the rule that intervals do not overlap, for one run of scans after another.

    26 M groups at once are 2 GB and ten times slower: the log lies in the order of scans.
    """
    (rows,) = con.execute("select count(*) from price_log").fetchall()[0]
    found = con.execute(
        f"select min(scan_id) from (select scan_id, ntile({rows // SLICE + 1}) over "
        "(order by scan_id) as slice from scan) group by slice order by 1"
    ).fetchall()
    bounds = [0, *(scan_id for (scan_id,) in found[1:]), 2**63 - 1]
    for first, end in pairwise(bounds):
        doubled = (
            "(select series_id, observed_at, scan_id from price_log "
            f"where scan_id >= {first} and scan_id < {end} group by all having count(*) > 1)"
        )
        yield Rule(
            "intervals",
            "series have two rows of one scan and moment, so that their intervals overlap",
            _of_series("{series}", "'scan ' || p.scan_id", doubled),
            Depth.USUAL,
        )
