"""The program in a process of its own, with its way out taken to a simulator.

python child.py PORT run --db …

With TURNED=file its time is what stands in the file, for a test to turn.
"""

import os
import sys
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

import httpx
from apscheduler.schedulers import background, base
from apscheduler.triggers import interval
from simulator import Redirect

from gputape.app.cli import main
from gputape.app.service import outside, service


class Stirring(background.BackgroundScheduler):  # type: ignore[misc]  # APScheduler ships no types
    """Looks at the clock again soon, however far off its next job seems."""

    def _process_jobs(self) -> float:
        wait: float | None = super()._process_jobs()
        return 0.05 if wait is None else min(wait, 0.05)


def turn(file: Path) -> None:
    """Take the time from a file, everywhere in a service."""

    def now() -> datetime:
        return datetime.fromisoformat(file.read_text())

    class Turned(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return now().astimezone(tz)

    for module in (base, interval):
        module.datetime = Turned
    defaults: dict[str, Any] = service.Service.__init__.__kwdefaults__
    defaults["now"] = now
    service.BackgroundScheduler = Stirring


PORT = int(sys.argv.pop(1))
httpx.HTTPTransport = lambda **more: Redirect(PORT, **more)  # type: ignore[assignment,misc]
assert outside.httpx is httpx
if "TURNED" in os.environ:
    turn(Path(os.environ["TURNED"]))
main.VERBS["run"] = ("run", "")
main.main()
