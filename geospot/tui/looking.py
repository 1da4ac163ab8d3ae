"""Looks at a service or server before anything is launched: is it there, does it take the key, what has it?

The look is a process of its own, `python -m geospot.tui.looking`: what it has to import is heavy, and a
service that hangs must not hang the app. An answer is waited for for ten seconds, which begin when all is
imported: a disk that is slow is no silent service. Its answer is one line of JSON. A key is named by its
variable, and never part of an answer.
"""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

from geospot.errors import GeospotError, UsageError
from geospot.plugins import BACKENDS, SERVICES, installed, load

if TYPE_CHECKING:
    from geospot.evaluation.backend import BackendFactory

LIMIT_S: Final = 10.0
"""In which an answer has to come."""
_BEGINS_S: Final = 60.0
"""In which the process has to be ready to ask; imports take 2 s, and longer from a disk across a network."""
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
    needs_model: str | None = None
    """Why it can't do without a model's name, None where it can."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a process said, and how it ended."""

    code: int
    out: bytes
    err: bytes


async def ask_process(words: Sequence[str], *, told: bytes = b"", limit_s: float) -> Said | None:
    """Runs `python -m WORDS` and gives what it says; None, and it is ended, where that takes longer.

    Args:
        told: what it can read from standard input.
    """
    process = _process(words)
    try:
        return await asyncio.to_thread(_said, process, told, limit_s)
    finally:
        process.kill()  # also where nobody waits for it any more; its thread then ends at once


def _process(words: Sequence[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603 - our own program, words that were checked
        [sys.executable, "-P", "-m", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def _said(process: "subprocess.Popen[bytes]", told: bytes, limit_s: float) -> Said | None:
    with process:
        try:
            out, err = process.communicate(told, timeout=limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
            return None
        return Said(process.returncode, out, err)


async def look_at(asked: Asked) -> Look:
    """Looks, for ten seconds at most once it can."""
    told = json.dumps({"asked": asdict(asked), "limit_s": LIMIT_S}).encode()
    said = await ask_process(["geospot.tui.looking"], told=told, limit_s=_BEGINS_S + LIMIT_S)
    if said is None:
        return Look(
            "",
            trouble=f"What asks {asked.name} wasn't loaded after {_BEGINS_S:.0f} s: is this machine, or the "
            "disk with its Python, busy?",
        )
    return _read(said.out, said.err)


def _read(out: bytes, err: bytes) -> Look:
    try:
        row: dict[str, Any] = json.loads(out.splitlines()[-1])
        row["models"] = tuple(map(str, row["models"]))
        return Look(**row)
    except (IndexError, KeyError, ValueError, TypeError):
        lines = err.decode("utf-8", "replace").splitlines()
        return Look("", trouble=f"It couldn't be looked at: {lines[-1] if lines else 'no answer'}")


def names_of(what: str) -> Sequence[str]:
    """Services or backends that are installed."""
    return [plugin.name for plugin in installed(SERVICES if what == "service" else BACKENDS)]


def main() -> None:
    """Looks at what standard input says, and prints the answer."""
    told = json.loads(sys.stdin.read())
    asked, limit_s = Asked(**told["asked"]), float(told["limit_s"])
    silence = Look("", trouble=f"{asked.name} has given no answer for {limit_s:.0f} s.")
    try:
        _load_what_asks(asked)
        late = threading.Timer(limit_s, _answer, [silence])
        late.daemon = True
        late.start()
        look = _service(asked) if asked.what == "service" else _backend(asked)
    except GeospotError as error:
        look = Look("", trouble=str(error))
    _answer(look)


_answering: Final = threading.Lock()


def _answer(look: Look) -> None:
    """The answer, and the end: a thread of an SDK that waits for a dead server would keep the process."""
    with _answering:
        sys.stdout.write(json.dumps(asdict(look)) + "\n")
        sys.stdout.flush()
        os._exit(0)


def _load_what_asks(asked: Asked) -> None:
    """Imports what asking would import, before its time begins."""
    if asked.name == "tinker" or "://" in asked.name:
        import_module("tinker")
    elif asked.name in names_of(asked.what):
        load(SERVICES if asked.what == "service" else BACKENDS, asked.name)


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
    from geospot.evaluation.backend import BackendOptions

    factory = cast("BackendFactory", load(BACKENDS, asked.name))
    needs = _need_of_model(factory)
    if asked.name != "openai":
        return Look("installed", is_open=True, needs_model=needs)
    backend = factory(
        BackendOptions(model="any", base_url=asked.base_url, api_key_env=asked.api_key_env)
    )
    names = asyncio.run(_listed(backend))
    about: Mapping[str, Any] = backend.describe()
    variable = about.get("api_key_env")
    key = _key_said(str(variable) if variable else None, has=bool(variable))
    served = f"{len(names)} models" if names else "it doesn't list its models"
    return Look(f"reachable, {served}; {key}", _vision_first(names), None, not names, needs)


def _need_of_model(factory: "BackendFactory") -> str | None:
    from geospot.evaluation.backend import BackendOptions

    try:
        factory(BackendOptions())
    except UsageError as error:
        return str(error)
    except GeospotError:
        return None  # about something else, such as a key
    return None


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
