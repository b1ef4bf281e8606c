"""The program in a process of its own, with its way out taken to a simulator.

python child.py PORT run --db …
"""

import sys

import httpx
from simulator import Redirect

from gputape.app.cli import main
from gputape.app.service import outside

PORT = int(sys.argv.pop(1))
httpx.HTTPTransport = lambda **more: Redirect(PORT, **more)  # type: ignore[assignment,misc]
assert outside.httpx is httpx
main.VERBS["run"] = ("run", "")
main.main()
