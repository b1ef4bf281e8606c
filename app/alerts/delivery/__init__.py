"""Alerts on their way: from the outbox to a channel, at least once, each with its own id.

    outbox ──sender──▶ doors ──▶ webhook   our own JSON, signed
             when, how         ▶ apprise   mail, Slack, ntfy, …: `courier`, a process per message
             often

A channel is configured in `channels`; where it may reach is decided in `reach`.
"""
