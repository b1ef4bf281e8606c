"""What an offer is and how it is kept. Imports nothing of ours.

    import gputape.store

    with gputape.store.open() as tape:
        cheapest = tape.offers(gpu="h100", option="spot").rows()[0]

`docs/python.md` has the verbs, their columns, units and errors.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from os import PathLike

    from gputape.store.reader import Tape

__all__ = ("open",)


def open(path: "str | PathLike[str] | None" = None) -> "Tape":  # noqa: A001  # as one says it
    """Open a tape for questions; without a path the one that commands use.

    The tape answers from the copy that was published when it was opened, whatever is
    collected meanwhile. Raises `NoTape`, `Damaged`, `TooNew`.
    """
    from gputape.store.reader import open_tape  # noqa: PLC0415  # `import gputape.store` is free

    return open_tape(path)
