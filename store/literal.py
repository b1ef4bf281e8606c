"""Values written into SQL as literals, for commands whose start-up counts.

To bind any parameter at all, DuckDB's Python client (1.5.5, 2.0.0) imports pandas when it is
installed: 0.4 CPU s, more than everything else in `gputape offers` together.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

NAME = re.compile(r"\$(\w+)")


def filled(sql: str, values: Mapping[str, Any]) -> str:
    """Return SQL with every `$name` replaced by its value's literal, in one pass."""
    return NAME.sub(lambda found: literal(values[found[1]]), sql)


def literal(value: Any) -> str:
    """Return a value as SQL spells it. Raises KeyError for a type that has no spelling here."""
    return SPELLINGS[type(value)](value)


SPELLINGS: dict[type, Callable[[Any], str]] = {
    type(None): lambda _: "null",
    bool: lambda value: str(value).lower(),
    int: str,
    Decimal: lambda value: f"{value:f}",
    datetime: lambda value: f"timestamptz '{value.isoformat()}'",
    timedelta: lambda value: f"to_microseconds({value // timedelta(microseconds=1)})",
    str: lambda value: "'" + value.replace("'", "''") + "'",
    list: lambda value: f"[{', '.join(map(literal, value))}]::varchar[]",
}
