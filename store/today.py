"""The days that are not over, written down for readers: the one table that is replaced.

Reckoning them takes the log since the last day that was rolled. A writer does it once, before it
publishes, so that a question about a year never does.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

SO_FAR = """
create or replace temp table so_far as
select d.*, newest_id() as up_to_id
from days_of(null, first_open_day(),
    least(last_covered_day(), (now() at time zone 'UTC')::date) + 1) d
anti join rolled r on r.provider = d.provider and r.day = d.day
"""


def keep_today(con: "duckdb.DuckDBPyConnection") -> None:
    """Write down the days that are not over, up to the newest scan.

    Killed in between, `today` is not known, and whoever writes next reckons it again.
    """
    if con.execute("select today_is_known()").fetchall() == [(True,)]:
        return
    con.execute(SO_FAR)
    con.execute("delete from today")
    con.execute("insert into today by name select * from so_far")
    con.execute("drop table so_far")
