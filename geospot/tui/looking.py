"""Looks at a service or server before anything is launched: is it there, does it take the key, what has it?

The look is a process of its own, `python -m geospot.tui.looking`, which is ended after ten seconds: what it
has to import is heavy, and a service that hangs must not hang the app. Its answer is one line of JSON.
A key is named by its variable, and never part of an answer.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Final, cast

from geospot.errors import GeospotError
from geospot.plugins import BACKENDS, SERVICES, installed, load

LIMIT_S: Final = 10.0
_MOST_MODELS: Final = 500


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom to look at: a training service, or the backend of an evaluation."""

    what: str
    """`service` or `backend`."""
    name: str
    """`tinker`, `local`, `openai`, a URL, …"""
    base_url: str | None = None
    api_key_env: str | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen. `trouble` says why nothing can be started there, None where it can.

    `models` are what it serves, vision models first; empty where it doesn't say.
    """

    said: str
    models: tuple[str, ...] = ()
    trouble: str | None = None
    is_open: bool = False
    """Whether models beyond `models` may be named, such as those of a hub."""


async def look_at(asked: Asked) -> Look:
    """Looks, for ten seconds at most."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "geospot.tui.looking"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(LIMIT_S):
            out, err = await process.communicate(json.dumps(asdict(asked)).encode())
    except TimeoutError:
        return Look("", trouble=f"{asked.name} has given no answer for {LIMIT_S:.0f} s.")
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return _read(out, err)


def _read(out: bytes, err: bytes) -> Look:
    try:
        row: dict[str, Any] = json.loads(out.splitlines()[-1])
        return Look(
            str(row["said"]), tuple(map(str, row["models"])), row["trouble"], bool(row["is_open"])
        )
    except (IndexError, KeyError, ValueError, TypeError):
        lines = err.decode("utf-8", "replace").splitlines()
        return Look("", trouble=f"It couldn't be looked at: {lines[-1] if lines else 'no answer'}")


def names_of(what: str) -> Sequence[str]:
    """Services or backends that are installed."""
    return [plugin.name for plugin in installed(SERVICES if what == "service" else BACKENDS)]


def main() -> None:
    """Looks at what standard input says, and prints the answer."""
    asked = Asked(**json.loads(sys.stdin.read()))
    try:
        look = _service(asked) if asked.what == "service" else _backend(asked)
    except GeospotError as error:
        look = Look("", trouble=str(error))
    sys.stdout.write(json.dumps(asdict(look)) + "\n")
    sys.stdout.flush()
    os._exit(0)  # a thread of an SDK that waits for a dead server would keep the process


def _service(asked: Asked) -> Look:
    from geospot.services import DescribedService, ServiceOptions, open_service

    if "://" not in asked.name:
        found = load(SERVICES, asked.name)
        if isinstance(found, DescribedService):
            facts = found.facts()
            said = "installed, needs no key; any model of the hub or a folder can be named"
            return Look(said, facts.models, facts.trouble, is_open=True)
    with open_service(asked.name, ServiceOptions(api_key_env=asked.api_key_env)) as service:
        names = [model.name for model in service.models() if model.trainable]
        key = _key_said(service.endpoint.api_key_env, has=service.endpoint.api_key_env is not None)
        return Look(f"reachable, {len(names)} models; {key}", _vision_first(names))


def _backend(asked: Asked) -> Look:
    if asked.name in ("tinker", "local"):
        if asked.name == "tinker" and asked.base_url:
            return _service(Asked("service", asked.base_url, None, asked.api_key_env))
        return _service(Asked("service", asked.name, None, asked.api_key_env))
    from geospot.evaluation.backend import BackendFactory, BackendOptions

    factory = cast(BackendFactory, load(BACKENDS, asked.name))
    if asked.name != "openai":
        return Look("installed; it asks no server")
    backend = factory(
        BackendOptions(model="any", base_url=asked.base_url, api_key_env=asked.api_key_env)
    )
    names = asyncio.run(_listed(backend))
    about: Mapping[str, Any] = backend.describe()
    variable = about.get("api_key_env")
    key = _key_said(str(variable) if variable else None, has=bool(variable))
    served = f"{len(names)} models" if names else "it doesn't list its models"
    return Look(f"reachable, {served}; {key}", _vision_first(names), is_open=not names)


async def _listed(backend: Any) -> list[str]:
    try:
        return list(await backend.models())
    finally:
        await backend.aclose()


def _key_said(variable: str | None, *, has: bool) -> str:
    return f"key in {variable}" if has and variable else "no key is sent"


def _vision_first(names: Sequence[str]) -> tuple[str, ...]:
    from geospot.services import is_vision_model

    ordered = sorted(names, key=lambda name: (not is_vision_model(name), name.casefold()))
    return tuple(ordered[:_MOST_MODELS])


if __name__ == "__main__":
    main()
