"""Where a service is: what an entry point of group `geospot.services` has to say."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from geospot.errors import KeyMissingError, UsageError

HOSTED_URL: Final = "https://tinker.thinkingmachines.dev/services/tinker-prod"
KEY_VARIABLE: Final = "TINKER_API_KEY"
URL_VARIABLE: Final = "TINKER_BASE_URL"
NO_KEY: Final = "tml-no-key-needed"
"""The SDK insists on a key, also where the server asks for none."""

_KEY_STARTS: Final = ("tml-", "eyJ")
_EXAMPLE: Final = "Write it like http://127.0.0.1:8123"


def _unheard(_: str) -> None:
    """Nobody listens."""


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """What the person asked for; a service takes from it what it understands."""

    base_url: str | None = None
    api_key_env: str | None = None
    """Name of the environment variable with the key."""
    models: tuple[str, ...] = ()
    """Base models that an embedded service must have, besides its own: hub ids or folders."""
    state_dir: Path | None = None
    """Where an embedded service keeps checkpoints; None for its usual place."""
    tell: Callable[[str], None] = field(default=_unheard, repr=False, compare=False)
    """Is told in a sentence what is waited for, where that takes long."""


def _nothing() -> None:
    """Nothing was started, and so nothing is to be stopped, or ends by itself."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address to speak the Tinker protocol to.

    `api_key` is None where the SDK finds one itself (`tinker auth login`, TINKER_CREDENTIAL_CMD).
    `stop` ends what was started for it. `died` says in a sentence how that has ended by itself, and None
    while it hasn't: a server that may come back is waited for, one that can't isn't. `patience_s` is how
    long it may keep us waiting while it gets ready, None for as long as any service: of one that was
    started here it is known whether it lives, and on a busy machine it is slow as everything else is.
    """

    name: str
    base_url: str
    api_key: str | None = field(repr=False)
    api_key_env: str | None = None
    stop: Callable[[], None] = field(default=_nothing, repr=False)
    died: Callable[[], str | None] = field(default=_nothing, repr=False)
    patience_s: float | None = None


ServiceFactory = Callable[[ServiceOptions], Endpoint]
"""What an entry point of group `geospot.services` names. It may start a server of its own."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a service without opening it.

    `trouble`: why it couldn't be opened. `state`: the folder of its checkpoints, if it has one here.
    """

    models: tuple[str, ...] = ()
    trouble: str | None = None
    state: Path | None = None


@dataclass(frozen=True, slots=True)
class DescribedService:
    """A service factory that can tell what it is without starting anything: for `geospot doctor`."""

    start: ServiceFactory
    facts: Callable[[], Facts]

    def __call__(self, options: ServiceOptions) -> Endpoint:
        """Starts it."""
        return self.start(options)


def hosted(options: ServiceOptions) -> Endpoint:
    """Entry point `tinker`: the hosted service, or where --base-url or TINKER_BASE_URL point.

    Raises:
        UsageError: the address is no http address.
        KeyMissingError: the key is missing, or none that Tinker gives out.
    """
    environment_url = os.environ.get(URL_VARIABLE, "").strip()
    base_url = address_of(options.base_url)
    # TINKER_API_KEY belongs to the hosted service, or to the address that is set beside it.
    belongs = base_url in (HOSTED_URL, environment_url.rstrip("/"))
    if options.api_key_env is None and not belongs:
        return Endpoint("tinker", base_url, NO_KEY)
    variable = options.api_key_env or KEY_VARIABLE
    key = os.environ.get(variable, "").strip()
    if key:
        if not key.startswith(_KEY_STARTS):
            raise KeyMissingError(
                f"The key in {variable} is no Tinker key: those start with tml-.",
                "Copy it again from the Tinker console.",
            )
        return Endpoint("tinker", base_url, key, variable)
    if base_url != HOSTED_URL and options.api_key_env is None:
        return Endpoint("tinker", base_url, NO_KEY)
    if options.api_key_env is None and _sdk_has_credentials():
        return Endpoint("tinker", base_url, None)
    raise KeyMissingError(
        f"{urlsplit(base_url).hostname} needs a key, and the environment variable {variable} is "
        "not set.",
        f"Run `export {variable}=tml-…`, or use `local`, which needs no key.",
    )


def address_of(base_url: str | None) -> str:
    """The address of `tinker`: the one given, that of TINKER_BASE_URL, or the hosted service's.

    Raises:
        UsageError: it is no http address.
    """
    return check_url(base_url or os.environ.get(URL_VARIABLE, "").strip() or HOSTED_URL)


def check_url(text: str) -> str:
    """The address without a slash at its end.

    Raises:
        UsageError: not an http address, or one with a key in it.
    """
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise UsageError(f"The address can't be read: {error}.", _EXAMPLE) from error
    if "@" in text or parts.query:  # before a message shows it
        raise UsageError(
            "The address holds more than host, port and path.",
            "Put the key into an environment variable and name it with --api-key-env.",
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{text!r} is no http address.", _EXAMPLE)
    return text.rstrip("/")


def _sdk_has_credentials() -> bool:
    if os.environ.get("TINKER_CREDENTIAL_CMD"):
        return True
    return (Path.home() / ".tinker" / "credentials.json").is_file()


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What a server of one's own is told."""

    host: str = "127.0.0.1"
    port: int = 8123
    api_key_env: str | None = None
    models: tuple[str, ...] = ()
    state_dir: Path | None = None
    device: str | None = None
    """Where models are computed, as torch calls it; None takes CUDA where there is one."""
    public_url: str | None = None
    """Where clients reach it, if not at the address that it listens on: that of a proxy."""


ServerRunner = Callable[[ServeOptions, Callable[[str], None]], None]
"""What an entry point of group `geospot.servers` names: serves until it is interrupted.

Its second argument is told in sentences how far it is.
"""
