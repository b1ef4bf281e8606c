"""`gputape run`: a schedule that never dies quietly.

schedule   which jobs there are: a provider, or a group of its parts, each with its cadence
breaker    when a source is asked again: cadence, backoff, breaker, all derived from the tape
attempts   what the tape's scan log says of each job's tries
desk       the one writer that all jobs share
outside    the one way out that they share: transport, pace, robots.txt, Retry-After
asking     one run of one job
service    the jobs in APScheduler, reloading, ending
reload     the configuration, read anew when it changes
status     what doctor reads of a service: `tape.service.json`
health     /healthz, /readyz, /metrics
metrics    OpenMetrics of sources, tape and alerts
alerting   after each run: evaluate, then send
"""
