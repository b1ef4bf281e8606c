"""The configuration: one small TOML file, and keys from the environment.

    [providers.coreweave]
    enabled = true          # runs it although it is opt-in

    [archive]
    keep_days = 90          # raw bytes go after so many days, the last ones of a part never

Secrets come from the environment only: `LAMBDA_API_KEY`, or `LAMBDA_API_KEY_FILE` with a path.
"""

import tomllib
from collections.abc import Iterable, Mapping
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gputape.app.places import config_files
from gputape.store.errors import BadInput


class ProviderConfig(BaseModel):
    """What a person decided about one provider."""

    model_config = ConfigDict(extra="forbid", strict=True)

    enabled: bool | None = None
    """True runs an opt-in provider, False leaves one out, None keeps its default."""


class ArchiveConfig(BaseModel):
    """How long raw bytes are kept."""

    model_config = ConfigDict(extra="forbid", strict=True)

    keep_days: Annotated[int, Field(ge=1, le=36_500)] | None = None
    """None keeps them for ever. The last ones of every part stay in any case."""

    @property
    def keep(self) -> timedelta | None:
        """The same as a span of time."""
        return None if self.keep_days is None else timedelta(days=self.keep_days)


class Config(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    providers: dict[str, ProviderConfig] = {}
    archive: ArchiveConfig = ArchiveConfig()

    def enabled(self, on: bool = True) -> set[str]:  # noqa: FBT001, FBT002  # a filter's value
        """Return the providers that the file turns on (or off)."""
        return {slug for slug, provider in self.providers.items() if provider.enabled is on}


def load(files: Iterable[Path] | None = None) -> tuple[Config, Path | None]:
    """Return the nearest configuration and its path; without a file, the defaults.

    Raises `BadInput` naming the file, the key and the nearest known one.
    """
    for path in config_files() if files is None else files:
        if path.exists():
            return _read(path), path
    return Config(), None


def _read(path: Path) -> Config:
    try:
        return Config.model_validate(tomllib.loads(path.read_text("utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is not TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"{path}: {_explain(first['loc'], first['msg'])}") from None


def _explain(where: tuple[int | str, ...], message: str) -> str:
    key = ".".join(map(str, where))
    known = [
        name for model in (Config, ProviderConfig, ArchiveConfig) for name in model.model_fields
    ]
    near = get_close_matches(str(where[-1]), known, 1)
    return f"{key}: {message}" + (f"; did you mean {near[0]}?" if near else "")


def secrets(names: Iterable[str], environment: Mapping[str, str]) -> dict[str, str]:
    """Return the keys that are set, each from its variable or from the file that `…_FILE` names."""
    found = {}
    for name in names:
        if value := environment.get(name):
            found[name] = value
        elif path := environment.get(f"{name}_FILE"):
            try:
                found[name] = Path(path).read_text("utf-8").strip()
            except OSError as error:
                raise BadInput(f"{name}_FILE: can not read {path} ({error.strerror})") from None
            except UnicodeDecodeError:
                raise BadInput(f"{name}_FILE: {path} is not text") from None
            if not found[name]:
                raise BadInput(f"{name}_FILE: {path} is empty")
    return found
