-- The tape. Every table is only ever added to: no keys, sequences, UPDATE or DELETE,
-- so that the same text runs on a DuckDB file and on DuckLake, and writers never conflict.

-- One attempt at one part of a provider. What was looked at, and what came of it.
create table scan (
    scan_id          bigint      not null,  -- rises with every scan, in the order of recording
    run_id           bigint      not null,  -- scans of one `collect` share it
    provider         varchar     not null,
    part             varchar     not null,
    started_at       timestamptz not null,
    finished_at      timestamptz not null,
    observed_at      timestamptz not null,  -- when the newest of its pages was fetched
    status           varchar     not null,  -- ok | unchanged | skipped | unreachable | refused | changed | unconfigured
    sentence         varchar,               -- what was wrong and what to do, when not ok
    quotes           integer     not null,
    offers           integer     not null,
    rejects          integer     not null,
    suspects         integer     not null,
    unchanged        integer     not null,
    new              integer     not null,
    changed          integer     not null,
    gone             integer     not null,
    bytes            bigint      not null,
    parser_revision  integer     not null,
    normaliser       varchar     not null,  -- revision and hash of the facts it judged with
    next_effective_at timestamptz,          -- when the same bytes will mean something else
    origin           varchar     not null   -- live | replay | import | correction
);

-- The archive's index: which bytes a scan read.
create table page (
    scan_id       bigint      not null,
    ordinal       integer     not null,
    context       boolean     not null,  -- belongs to another part, read beside this one's own
    method        varchar     not null,
    url           varchar     not null,
    status        integer     not null,  -- 304: the bytes we already had
    fetched_at    timestamptz not null,
    etag          varchar,
    last_modified varchar,
    sha256        varchar     not null,
    bytes         bigint      not null
);

-- One thing whose price moves, in the provider's own words only.
create table series (
    series_id   bigint      not null,  -- provider number << 32 | n: no coordination between writers
    provider    varchar     not null,
    sku         varchar     not null,
    region      varchar     not null,
    zone        varchar,
    option      varchar     not null,  -- on_demand | reserved | spot
    tier        varchar,
    term_months smallint,
    payment     varchar,               -- none | partial | all upfront
    first_seen  timestamptz not null
);

-- What we understood a series to be. The newest row counts: a better alias adds one.
create table series_fact (
    series_id  bigint       not null,
    scan_id    bigint       not null,
    part       varchar      not null,
    gpu        varchar      not null,
    gpu_count  decimal(12,6) not null,
    vcpus      decimal(12,3),
    memory_gib decimal(12,3),
    derived    varchar,                -- why the price is computed rather than printed
    relay      varchar,                -- who printed it when it was not the provider
    source_sku varchar
);

-- Every price as it became known; an unchanged one adds nothing.
create table price_log (
    series_id   bigint      not null,
    observed_at timestamptz not null,
    scan_id     bigint      not null,
    state       varchar     not null,  -- firm | suspect | unpriced | gone
    price       decimal(18,9),         -- native, whole sku, per hour, upfront spread in; null when unpriced or gone
    currency    varchar     not null,
    upfront     decimal(18,6),         -- native, paid at the start of the term
    available   boolean,
    reason      varchar,               -- why not firm
    origin      varchar     not null
);

-- One row per series and day, written when the day is over.
create table daily (
    day       date          not null,  -- UTC
    series_id bigint        not null,
    open      decimal(18,9) not null,  -- native, whole sku, per hour
    low       decimal(18,9) not null,
    high      decimal(18,9) not null,
    close     decimal(18,9) not null,
    mean      double        not null,  -- weighted by time
    hours     float         not null,  -- of the day in which the price was known
    changes   smallint      not null
);

-- Which days of which part `daily` already holds.
create table rolled (
    provider varchar not null,
    part     varchar not null,
    day      date    not null
);

-- Quotes that could not become offers. A row when one appears and one when it is gone.
create table reject (
    reject_key varchar     not null,  -- of part, series words and reason
    scan_id    bigint      not null,
    seen_at    timestamptz not null,
    present    boolean     not null,
    provider   varchar     not null,
    part       varchar     not null,
    sku        varchar     not null,
    reason     varchar     not null,  -- unknown_gpu | no_price | not_in_force | …
    sentence   varchar     not null,
    quote      json        not null
);

-- How often a spot instance was taken back, as published. A row when it changes.
create table interruption (
    provider       varchar     not null,
    sku            varchar     not null,
    region         varchar     not null,
    observed_at    timestamptz not null,
    scan_id        bigint      not null,
    low_percent    smallint    not null,  -- of instances, in a month
    high_percent   smallint    not null,
    saving_percent smallint              -- published average below on demand
);

-- European Central Bank reference rates.
create table fx (
    day          date           not null,
    currency     varchar        not null,
    usd_per_unit decimal(18,9)  not null,
    source       varchar        not null
);

-- Facts that the tape carries so that SQL alone can answer. The newest generation counts.
create table gpu (
    generation     varchar not null,  -- hash of the facts
    noted_at       timestamptz not null,
    gpu            varchar not null,
    name           varchar not null,
    vendor         varchar not null,
    family         varchar not null,
    architecture   varchar,
    memory_gib     decimal(9,2),
    bandwidth_gb_s decimal(9,1),
    bf16_tflops    decimal(9,2),      -- dense
    fp16_tflops    decimal(9,2),
    fp8_tflops     decimal(9,2),
    tdp_w          decimal(9,1),
    scaleup_gb_s   decimal(9,1),
    form_factor    varchar,
    launch_year    smallint,
    source         varchar not null
);

create table provider (
    generation varchar not null,
    noted_at   timestamptz not null,
    provider   varchar not null,
    name       varchar not null,
    market     varchar not null,      -- list | marketplace | broker
    cadence_s  integer not null,
    prices_at  varchar not null,
    terms_url  varchar not null
);
