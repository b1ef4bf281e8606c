"""Which jobs there are: one for each provider that is on, one for each of its groups that is."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from gputape.app.config import Config, ProviderConfig
from gputape.scrapers import ecb
from gputape.scrapers.adapter import Adapter
from gputape.scrapers.registry import HOSTED, adapter, chosen
from gputape.store.errors import BadInput


@dataclass(frozen=True, slots=True)
class Job:
    """A provider, or one group of its parts, and how often it is asked."""

    adapter: Adapter
    cadence: timedelta
    group: str | None = None

    @property
    def name(self) -> str:
        """The provider's slug, with the group behind a stroke."""
        slug = self.adapter.PROVIDER.slug
        return f"{slug}/{self.group}" if self.group else slug

    @property
    def rates(self) -> bool:
        """Whether it asks for exchange rates, which only a foreign price needs."""
        return self.adapter is ecb

    def takes(self, part: str) -> bool:
        """Whether a part belongs to it; the last word of a part's name may be a group."""
        word = part.rpartition("/")[2]
        return word == self.group or (self.group is None and word not in self.others)

    @property
    def others(self) -> frozenset[str]:
        """The groups that have jobs of their own."""
        return frozenset(self.adapter.PROVIDER.groups)


def jobs(settings: Config, named: Iterable[str] = ()) -> list[Job]:
    """Return the jobs of the providers named, or of all that the configuration leaves on.

    Raises `BadInput` for a provider or a group that does not exist, and when nobody is left.
    """
    for slug in settings.providers:
        adapter(slug)
    found = list(named)
    off = settings.enabled(False)
    asked = chosen(found, settings.enabled())
    if not found:
        asked = [one for one in (*asked, *HOSTED) if one.PROVIDER.slug not in off]
    if not asked:
        raise BadInput("the configuration leaves no provider to ask: enable one")
    made = [job for one in asked for job in _of(one, settings.providers.get(one.PROVIDER.slug))]
    return [*made, Job(ecb, ecb.PROVIDER.cadence)]


def _of(one: Adapter, said: ProviderConfig | None) -> Iterable[Job]:
    provider, said = one.PROVIDER, said or ProviderConfig()
    yield Job(one, said.every or provider.cadence)
    for group in said.groups:
        if group not in provider.groups:
            known = ", ".join(provider.groups) or "none"
            raise BadInput(
                f"providers.{provider.slug}.groups: there is no group {group!r} (known: {known})"
            )
        yield Job(one, provider.groups[group], group)


def group_names(jobs: Iterable[Job]) -> list[str]:
    """Return the names of jobs that are groups, as the scan log's reader wants them."""
    return [f"{job.adapter.PROVIDER.slug}/{group}" for job in jobs for group in sorted(job.others)]
