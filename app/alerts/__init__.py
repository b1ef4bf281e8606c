"""Alerts worth reading: confirmed, said once, explained.

    observations ──▶ machine ──▶ engine ──▶ routing ──▶ ledger (states, log, outbox) ──▶ delivery
     what looks        one rule,    a run of    what is sent,    one transaction
     said              one series   many        and when

`backtest` plays the whole tape through the same machine and sends nothing.
"""
