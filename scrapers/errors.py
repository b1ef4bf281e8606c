"""What a provider can do to us. The whole tree is drawn in `gputape.store.errors`.

An adapter raises only `Changed`; `http.py` raises the others.
The lower-case name of the class is the word that a scan remembers as its status.
"""

from gputape.store.errors import GputapeError


class SourceError(GputapeError):
    """One provider's bad day: where it happened and one sentence on what to do."""

    def __init__(self, sentence: str, *, url: str = "") -> None:
        """Remember the sentence and the address it speaks of."""
        super().__init__(sentence)
        self.url = url

    @property
    def word(self) -> str:
        """Name the error as a scan's status: `unreachable`, `refused`, `changed`, …."""
        return type(self).__name__.lower()


class Unreachable(SourceError):
    """Network trouble, a 5xx after the last try, or a request that no recording answers."""


class Refused(SourceError):
    """401, 403, 429, a challenge page or robots.txt: somebody said no."""


class Changed(SourceError):
    """The response does not have the shape that the adapter knows."""


class Unconfigured(SourceError):
    """A key is missing: the part is skipped, not failed."""
