-- What a million hosted tokens cost, as lists of them say it: a log of its own beside GPU hours.
-- A row when a price appears, when it differs, when the list no longer has it; none in between.
create table token_price (
    provider     varchar     not null,  -- whose list it is: openrouter
    part         varchar     not null,
    model        varchar     not null,  -- as they say it
    host         varchar,               -- who serves it; null: the list does not say
    observed_at  timestamptz not null,
    scan_id      bigint      not null,
    state        varchar     not null,  -- listed | gone
    price_in     decimal(18,9),         -- native, a million input tokens; null when gone
    price_out    decimal(18,9),         -- native, a million output tokens
    price_cached decimal(18,9),         -- native, a million input tokens read from a cache
    currency     varchar     not null,
    context      bigint,                -- tokens, input and output together
    tier_from    bigint,                -- input tokens of a request from which another price holds
    hub_id       varchar,               -- the weights' name on the Hugging Face Hub
    origin       varchar     not null   -- live | replay | correction
);
