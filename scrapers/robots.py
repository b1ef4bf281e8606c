"""robots.txt, asked once per host and run, for sources that are pages for people."""

from collections.abc import Callable
from threading import Lock
from urllib.parse import urlsplit
from urllib.robotparser import RobotFileParser

import httpx

AGENT = "gputape"


class Robots:
    """Remembers what each host allows. `get` fetches robots.txt (not archived: not a price)."""

    def __init__(self, get: Callable[[str], httpx.Response]) -> None:
        self._get = get
        self._known: dict[str, RobotFileParser] = {}
        self._locks: dict[str, Lock] = {}
        self._guard = Lock()

    def allow(self, url: str) -> bool:
        """Whether the host lets us fetch this address (RFC 9309).

        4xx: no rules. 5xx or unreachable: the host's rules are unknown, so we stay away.
        """
        host = "{0.scheme}://{0.netloc}".format(urlsplit(url))
        with self._guard:
            lock = self._locks.setdefault(host, Lock())
        with lock:  # a slow host holds up nobody but itself
            if host not in self._known:
                self._known[host] = self._ask(host)
        return self._known[host].can_fetch(AGENT, url)

    def _ask(self, host: str) -> RobotFileParser:
        rules = RobotFileParser()
        try:
            answer = self._get(f"{host}/robots.txt")
        except httpx.HTTPError:
            rules.disallow_all = True  # type: ignore[attr-defined]  # missing from the stubs
            return rules
        if answer.is_success:
            rules.parse(answer.text.splitlines())
        elif answer.is_client_error:
            rules.allow_all = True  # type: ignore[attr-defined]  # same
        else:
            rules.disallow_all = True  # type: ignore[attr-defined]  # same
        return rules
