"""More words that people type: shares and amounts."""

from typing import Any

import click

from gputape.app.cli.words import FIGURE


class Share(click.ParamType["float"]):
    """0.7 or 70%."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a float; a minus in front is read."""
        if isinstance(value, float):
            return value
        text = value.strip()
        bare = text.removeprefix("-").removesuffix("%").strip()
        if not FIGURE.fullmatch(bare):
            self.fail(f"{value!r} is no share: write 0.7 or 70%", param, ctx)
        share = float(bare) / (100 if text.endswith("%") else 1)
        return -share if text.startswith("-") else share


class Amount(click.ParamType["float"]):
    """30000; 0 is allowed."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a float that is not negative."""
        if isinstance(value, float):
            return value
        text = value.strip().removeprefix("$").replace(",", "")
        if not FIGURE.fullmatch(text):
            self.fail(f"{value!r} is no number: write 30000", param, ctx)
        return float(text)
