"""`gputape run` in a process of its own, asking the simulator."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from .simulator import Simulator

CHILD = Path(__file__).with_name("child.py")


class Running:
    """A child with its log, as JSON lines."""

    def __init__(self, sim: Simulator, *words: object, **environment: str) -> None:
        self.log = Path.cwd() / f"log-{time.monotonic_ns()}"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, CHILD, str(sim.port), "run", *map(str, words), "--port", "0",
                 "--log-format", "json"],
                stderr=log, stdout=subprocess.PIPE, env=os.environ | environment, text=True,
            )  # fmt: skip

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()
                if line.startswith("{")]  # fmt: skip

    def said(self, *words: str) -> list[dict[str, Any]]:
        return [said for said in self.lines() if all(w in json.dumps(said) for w in words)]

    def hears(self, *words: str, at_least: int = 1) -> dict[str, Any]:
        """Wait for a line that says all of some words."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            found = self.said(*words)
            if len(found) >= at_least:
                return found[-1]
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"never said {words}: {self.log.read_text()}")

    def url(self) -> str:
        return str(self.hears("health and metrics")["url"])

    def ends(self, within_s: float = 10) -> int:
        began = time.monotonic()
        code = self.process.wait(20)
        assert time.monotonic() - began < within_s
        return code


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  # our own
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()
