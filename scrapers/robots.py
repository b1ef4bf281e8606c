"""robots.txt, asked once per host and run, for sources that are pages for people."""

from collections.abc import Callable
from threading import Lock
from urllib.parse import urlsplit
from urllib.robotparser import RobotFileParser

import httpx

from gputape.scrapers.errors import Refused, Unreachable

AGENT = "gputape"


class Robots:
    """Remembers what each host allows. `get` fetches robots.txt (not archived: not a price)."""

    def __init__(self, get: Callable[[str], httpx.Response]) -> None:
        self._get = get
        self._known: dict[str, RobotFileParser | None] = {}
        self._locks: dict[str, Lock] = {}
        self._guard = Lock()

    def check(self, url: str) -> None:
        """Raise `Refused` where the host forbids this address (RFC 9309).

        4xx: there are no rules. 5xx or no answer: the rules are unknown, so we stay away
        and say `Unreachable`.
        """
        host = "{0.scheme}://{0.netloc}".format(urlsplit(url))
        with self._guard:
            lock = self._locks.setdefault(host, Lock())
        with lock:  # a slow host holds up nobody but itself
            if host not in self._known:
                self._known[host] = self._ask(host)
        rules = self._known[host]
        if rules is None:
            raise Unreachable(f"{host}/robots.txt can not be read, so {url} is not asked", url=url)
        if not rules.can_fetch(AGENT, url):
            raise Refused(f"robots.txt forbids {url}: leave it, or ask the provider", url=url)

    def another_run(self) -> None:
        """Ask hosts that could not be read once more; what was read stays."""
        with self._guard:
            self._known = {host: rules for host, rules in self._known.items() if rules}

    def _ask(self, host: str) -> RobotFileParser | None:
        """Return a host's rules, or None when they can not be known."""
        try:
            answer = self._get(f"{host}/robots.txt")
        except httpx.HTTPError:
            return None
        if not (answer.is_success or answer.is_client_error):
            return None
        rules = RobotFileParser()
        rules.parse(answer.text.splitlines() if answer.is_success else [])
        return rules
