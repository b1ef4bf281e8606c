"""The configuration: one small TOML file, the environment over it, flags over both.

    [providers.coreweave]
    enabled = true          # runs it although it is opt-in
    [providers.aws]
    groups = ["reserved"]   # parts that a plain collection leaves out
    every_minutes = 120     # asked less often (or more) than the provider's own cadence

    [archive]
    keep_days = 90          # raw bytes go after so many days, the last ones of a part never

    [service]
    port = 9464             # health and metrics, on `host`, which is 127.0.0.1

    [alerts]                # rules and channels: `docs/alerts.md`

Any key but those of rules and channels can be set as `GPUTAPE_SERVICE_PORT=9465`,
`GPUTAPE_PROVIDERS_COREWEAVE_ENABLED=true`; a list is separated by commas.
Secrets come from the environment only: `LAMBDA_API_KEY`, or `LAMBDA_API_KEY_FILE` with a path.
"""

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from gputape.app.places import config_files
from gputape.store.errors import BadInput

Key = tuple[str, ...]
PREFIX = "GPUTAPE_"
SECTIONS = ("providers", "archive", "service")
SECRET = re.compile(r"(^|_)(key|token|password|secret)s?($|_)")
TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


class ProviderConfig(BaseModel):
    """What a person decided about one provider."""

    model_config = ConfigDict(extra="forbid", strict=True)

    enabled: bool | None = None
    """True runs an opt-in provider, False leaves one out, None keeps its default."""
    every_minutes: Annotated[int, Field(ge=5, le=44_640)] | None = None
    """How often `run` asks it; None keeps its own cadence."""
    groups: list[str] = []
    """Groups of parts that `run` asks beside the plain ones, each in its own cadence."""

    @property
    def every(self) -> timedelta | None:
        """The same as a span of time."""
        return None if self.every_minutes is None else timedelta(minutes=self.every_minutes)


class ArchiveConfig(BaseModel):
    """How long raw bytes are kept."""

    model_config = ConfigDict(extra="forbid", strict=True)

    keep_days: Annotated[int, Field(ge=1, le=36_500)] | None = None
    """None keeps them for ever. The last ones of every part stay in any case."""

    @property
    def keep(self) -> timedelta | None:
        """The same as a span of time."""
        return None if self.keep_days is None else timedelta(days=self.keep_days)


class ServiceConfig(BaseModel):
    """How `gputape run` is watched."""

    model_config = ConfigDict(extra="forbid", strict=True)

    host: str = "127.0.0.1"
    """The address that health and metrics are served on."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 9464
    """Its port; 0 takes one that is free."""
    log_format: Literal["text", "json"] = "text"

    @field_validator("host")
    @classmethod
    def _is_address(cls, host: str) -> str:
        if host != "localhost":
            try:
                ip_address(host)
            except ValueError:
                raise ValueError(f"{host!r} is no address: write 127.0.0.1") from None
        return host


class Config(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    providers: dict[str, ProviderConfig] = {}
    archive: ArchiveConfig = ArchiveConfig()
    service: ServiceConfig = ServiceConfig()
    alerts: Any = None
    """An `app.service.alerting.Alerts`, None when the file says nothing of alerts."""

    def enabled(self, on: bool = True) -> set[str]:  # noqa: FBT001, FBT002  # a filter's value
        """Return the providers that are turned on (or off)."""
        return {slug for slug, provider in self.providers.items() if provider.enabled is on}


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration, and where each value that is not a default came from."""

    config: Config
    path: Path | None = None
    origins: Mapping[Key, str] = field(default_factory=dict)
    """By key: the file's path, or `env` and the variable."""


def load(
    files: Iterable[Path] | None = None, environment: Mapping[str, str] | None = None
) -> tuple[Config, Path | None]:
    """Return the nearest configuration and its path; without a file, the defaults.

    Raises `BadInput` naming the file or the variable, the key and the nearest known one.
    """
    loaded = load_all(files, environment)
    return loaded.config, loaded.path


def load_all(
    files: Iterable[Path] | None = None, environment: Mapping[str, str] | None = None
) -> Loaded:
    """Return the same, with the origin of each value."""
    path = next((p for p in (config_files() if files is None else files) if p.exists()), None)
    said = _read(path) if path else {}
    origins: dict[Key, str] = dict.fromkeys(_leaves(said), str(path))
    if path:
        _validated(said, str(path))  # a file is judged as it is written
        _place_jobs(said, path)
    over = _from_environment(os.environ if environment is None else environment)
    for key, (name, value) in over.items():
        _put(said, key, value)
        origins[key] = f"env {name}"
    config = _validated(said, ", ".join(name for name, _ in over.values()))
    return Loaded(config, path, origins)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is not TOML: {error}") from None
    except OSError as error:
        raise BadInput(f"{path} can not be read ({error.strerror})") from None


def _place_jobs(said: Mapping[str, Any], path: Path) -> None:
    """Take the job file of a rule from the folder of the configuration, wherever we are run."""
    for rule in said.get("alerts", {}).get("rules", {}).values():
        if "workload" in rule:
            rule["workload"] = str(path.absolute().parent / rule["workload"])


def _validated(said: Mapping[str, Any], where: str) -> Config:
    try:
        config = Config.model_validate(said)
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"{where}: {_explain(first['loc'], first['msg'])}") from None
    if config.alerts is not None:
        from gputape.app.service.alerting import read  # noqa: PLC0415  # most have nothing of it

        try:
            config.alerts = read(config.alerts)
        except BadInput as error:
            raise BadInput(f"{where}: {error}") from None
    return config


def _explain(where: tuple[int | str, ...], message: str) -> str:
    key = ".".join(map(str, where))
    if SECRET.search(str(where[-1]).lower()):
        return f"{key}: keys are read from the environment only, as LAMBDA_API_KEY or …_FILE"
    known = [
        name
        for model in (Config, ProviderConfig, ArchiveConfig, ServiceConfig)
        for name in model.model_fields
    ]
    near = get_close_matches(str(where[-1]), known, 1)
    text = message.removeprefix("Value error, ")
    return f"{key}: {text}" + (
        f"; did you mean {near[0]}?" if near and near[0] != where[-1] else ""
    )


def _leaves(said: Mapping[str, Any], above: Key = ()) -> Iterable[Key]:
    for name, value in said.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*above, name))
        else:
            yield (*above, name)


def _put(said: dict[str, Any], key: Key, value: object) -> None:
    for name in key[:-1]:
        said = said.setdefault(name, {})
    said[key[-1]] = value


# -- the environment ----------------------------------------------------------------------------


def _from_environment(environment: Mapping[str, str]) -> dict[Key, tuple[str, object]]:
    """Return what variables say, by key, each with its variable. Raises `BadInput`."""
    known = {"_".join((PREFIX[:-1], *key)).upper(): key for key in _fixed_keys()}
    found: dict[Key, tuple[str, object]] = {}
    for name, text in sorted(environment.items()):
        section = name.removeprefix(PREFIX).partition("_")
        if not name.startswith(PREFIX) or section[0].lower() not in SECTIONS or not section[2]:
            continue
        key = known.get(name) or _provider_key(section[2].lower())
        if key is None:
            near = get_close_matches(name, known, 1)
            hint = f": did you mean {near[0]}?" if near else ""
            raise BadInput(f"the environment's {name} sets no key of the configuration{hint}")
        found[key] = name, _value(name, key, text)
    return found


def _fixed_keys() -> Iterable[Key]:
    for section in ("archive", "service"):
        for name in MODELS[section].model_fields:
            yield section, name


MODELS: dict[str, type[BaseModel]] = {
    "providers": ProviderConfig, "archive": ArchiveConfig, "service": ServiceConfig
}  # fmt: skip


def _provider_key(rest: str) -> Key | None:
    """Return the key that `coreweave_enabled` names: a slug may have strokes of its own."""
    ends = (name for name in ProviderConfig.model_fields if rest.endswith(f"_{name}"))
    return next((("providers", rest.removesuffix(f"_{name}"), name) for name in ends), None)


def _value(name: str, key: Key, text: str) -> object:
    """Read a variable as the kind of value that its key has."""
    kind = str(MODELS[key[0]].model_fields[key[-1]].annotation)
    if "bool" in kind:
        if text.lower() in (*TRUE, *FALSE):
            return text.lower() in TRUE
        raise BadInput(f"{name}: {text!r} is neither true nor false")
    if "list" in kind:
        return [word.strip() for word in text.split(",") if word.strip()]
    if "int" in kind:
        if re.fullmatch(r"\d{1,9}", text, re.ASCII):
            return int(text)
        raise BadInput(f"{name}: {text!r} is no whole number")
    return text


# -- what a person is shown -----------------------------------------------------------------------


def listed(loaded: Loaded) -> list[tuple[str, Any, str]]:
    """Return each key with its value and its origin, defaults among them."""
    said = loaded.config.model_dump(mode="json", exclude={"alerts"})
    if loaded.config.alerts is not None:
        from gputape.app.service.alerting import shown  # noqa: PLC0415  # same

        said["alerts"] = shown(loaded.config.alerts)
    rows = []
    for key in _leaves(said):
        origin = loaded.origins.get(key)
        if origin or key[0] not in ("providers", "alerts"):  # those have too many to say nothing
            rows.append((".".join(key), _at(said, key), origin or "default"))
    return rows


def _at(said: Any, key: Key) -> Any:
    for name in key:
        said = said[name]
    return said


# -- secrets ------------------------------------------------------------------------------------


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
