"""`alerts`: rules that wait for prices, what they saw, and what they would have said."""

import click

from gputape.app.cli import alertfindings, alertmessages, alertrules


@click.group()
def alerts() -> None:
    """Rules that wait for prices: confirmed, said once, explained.

    \b
    gputape alerts add cheap-h100 "drop 5% of median:14d" --gpu h100-sxm-80
    gputape alerts backtest cheap-h100 --days 90
    gputape alerts check
    """


for verb in (
    alertrules.add, alertrules.remove, alertrules.list_,
    alertfindings.check, alertfindings.why, alertfindings.log, alertfindings.backtest,
    alertmessages.silence, alertmessages.test,
):  # fmt: skip
    alerts.add_command(verb)
