-- Years in one file: sources beside the provider itself, frames for any moment, days rolled up.

-- Who else's history a series holds. A relay's record never shares a series with the provider's
-- own word: two witnesses are not spliced.
alter table series add column source varchar;       -- null: the provider's own

-- Who kept what was imported, and what may be done with it. The newest row counts.
create table source (
    source      varchar     not null,
    noted_at    timestamptz not null,
    name        varchar     not null,
    url         varchar     not null,
    licence     varchar     not null,
    attribution varchar     not null
);

alter table scan add column stands_s integer;       -- how long its prices stand unseen
alter table scan add column complete boolean;       -- false: what it does not list may still be sold
alter table scan add column corrects bigint;        -- the scan whose bytes it read anew
alter table scan add column source varchar;
alter table price_log add column replaces bigint;   -- the scan whose price it corrects
alter table price_log add column restated boolean;  -- stood here before what is before it was rewritten

-- Numbers of providers: series_id = n * 1024 + number. A provider's number in the high half
-- made ids 2.3 times as wide on disk: runs of ids of several providers share a block.
create table numbered (
    provider varchar  not null,
    number   smallint not null
);
insert into numbered
select provider, row_number() over (order by provider) from (select distinct provider from series);
create temp table renumbered as
select series_id as old_id,
    row_number() over (partition by provider order by series_id) * 1024 + number as new_id
from series join numbered using (provider);
update series set series_id = new_id from renumbered where series_id = old_id;
update series_fact set series_id = new_id from renumbered where series_id = old_id;
update price_log set series_id = new_id from renumbered where series_id = old_id;
drop table renumbered;

-- The whole tape at one moment, so that no question reads further back than the frame before
-- it: for each series its newest rows of `price_log`, for each part its newest looks.
-- A frame that a later row contradicts (an import, a correction) is void from then on.
create table frame (
    frame_id  bigint      not null,
    moment_at timestamptz not null,
    void      boolean     not null
);
create table frame_price (
    frame_id    bigint      not null,
    series_id   bigint      not null,
    observed_at timestamptz not null,
    scan_id     bigint      not null,
    state       varchar     not null,
    price       decimal(18,9),
    currency    varchar     not null,
    upfront     decimal(18,6),
    available   boolean,
    reason      varchar,
    origin      varchar     not null
);
create table frame_look (
    frame_id    bigint  not null,
    provider    varchar not null,
    part        varchar not null,
    last_seen   timestamptz,
    last_failed timestamptz,
    stands_s    integer
);

-- A day of everything like for like, written when the day is over. Prices are native, per GPU-hour.
drop table daily;
drop table rolled;
create table daily (
    roll_id      bigint        not null,
    day          date          not null,  -- UTC
    provider     varchar       not null,
    source       varchar,
    gpu          varchar       not null,
    option       varchar       not null,
    tier         varchar,
    term_months  smallint,
    currency     varchar       not null,
    open         decimal(18,9) not null,  -- of the cheapest series
    low          decimal(18,9) not null,
    high         decimal(18,9) not null,  -- of the dearest
    close        decimal(18,9) not null,  -- of the cheapest
    mean         double        not null,  -- every covered hour of every series counts alike
    series       integer       not null,
    hours        float         not null,  -- covered of the series covered longest
    series_hours double        not null   -- of all of them
);
-- The days that are not over, as `daily` would say them, up to a scan or roll: replaced whole,
-- the one exception to adding only.
create table today as
select *, 0::bigint as up_to_id from daily where false;
alter table today drop column roll_id;
-- Which days of a provider `daily` holds, the newest roll counts …
create table rolled (
    provider varchar not null,
    day      date    not null,
    roll_id  bigint  not null
);
-- … and which days were written into since.
create table touched (
    provider  varchar not null,
    first_day date    not null,
    last_day  date    not null,
    scan_id   bigint  not null
);

-- Series whose past became longer: an older look was recorded later.
create table series_earlier (
    series_id  bigint      not null,
    first_seen timestamptz not null,
    scan_id    bigint      not null
);
