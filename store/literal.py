"""Values written into SQL as literals, for commands whose start-up counts.

To bind any parameter at all, DuckDB's Python client (1.5.5, 2.0.0) imports pandas when it is
installed: 0.4 CPU s, more than everything else in `gputape offers` together.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

NAME = re.compile(r"\$(\w+)")


def filled(sql: str, values: Mapping[str, Any]) -> str:
    """Return SQL with every `$name` replaced by its value's literal, in one pass."""
    return NAME.sub(lambda found: literal(values[found[1]]), sql)


def literal(value: Any) -> str:
    """Return a value as SQL spells it. Raises TypeError for a type that has no spelling here."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | Decimal):
        return f"{value:f}" if isinstance(value, Decimal) else str(value)
    if isinstance(value, datetime):
        return f"timestamptz '{value.isoformat()}'"
    if isinstance(value, timedelta):
        return f"to_microseconds({value // timedelta(microseconds=1)})"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(literal, value))}]::varchar[]"
    raise TypeError(f"no SQL literal for {type(value).__name__}")
