"""What is installed, which keys are set, what answers: facts for a person whose setup fails."""

import os
import platform
import shutil
import socket
import ssl
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Final
from urllib.parse import urlsplit

from geospot import __version__
from geospot.errors import GeospotError, KeyMissingError
from geospot.plugins import BACKENDS, SERVICES, Plugin, installed, load
from geospot.services.endpoint import (
    HOSTED_URL,
    KEY_VARIABLE,
    NO_KEY,
    URL_VARIABLE,
    DescribedService,
    ServiceOptions,
    hosted,
)
from geospot.services.loopback import is_loopback
from geospot.textsafe import shown_url

PACKAGES: Final = (
    "openai",
    "tinker",
    "datasets",
    "huggingface_hub",
    "numpy",
    "pillow",
    "pyarrow",
    "textual",
    "torch",
    "transformers",
    "peft",
)
KEYS: Final = {
    "OPENAI_API_KEY": "eval --backend openai at api.openai.com",
    "OPENROUTER_API_KEY": "eval --backend openai at openrouter.ai",
    "TINKER_API_KEY": "training and checkpoints on the hosted Tinker service",
    "HF_TOKEN": "gated data sets and models of the Hugging Face hub",
}
_TIMEOUT_S: Final = 5.0
_SHOWN: Final = 8


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact. `ok` is None where it is neither good nor bad."""

    topic: str
    name: str
    text: str
    ok: bool | None = None


def examine(base_urls: Sequence[str] = (), *, offline: bool = False) -> list[Finding]:
    """Everything `geospot doctor` says. Key values are never read further than "is it empty"."""
    found = [
        Finding("program", "geospot", __version__),
        Finding("program", "python", f"{platform.python_version()} on {platform.platform()}"),
    ]
    found += [_package(name) for name in PACKAGES]
    found += [
        Finding("backend", plugin.name, f"{plugin.distribution} {plugin.version}")
        for plugin in installed(BACKENDS)
    ]
    found += [_service(plugin, offline=offline) for plugin in installed(SERVICES)]
    found += [_key(name, use) for name, use in KEYS.items()]
    found.append(_cache())
    if not offline:
        found += _reach(os.environ.get("HF_ENDPOINT") or "https://huggingface.co", base_urls)
    return found


def _package(name: str) -> Finding:
    try:
        return Finding("package", name, version(name), ok=True)
    except PackageNotFoundError:
        text = "not installed" if find_spec(name) is None else "there, version unknown"
        return Finding("package", name, text)


def _service(plugin: Plugin, *, offline: bool) -> Finding:
    """What is known of a service; only the hosted one is asked anything, and only where it is set up."""
    try:
        factory = load(SERVICES, plugin.name)
    except GeospotError as error:
        return Finding("service", plugin.name, error.message, ok=False)
    if factory is hosted:
        return _tinker(plugin.name, offline=offline)
    if not isinstance(factory, DescribedService):
        return Finding(
            "service", plugin.name, f"{plugin.distribution} {plugin.version}, not opened"
        )
    facts = factory.facts()
    if facts.trouble:
        return Finding("service", plugin.name, facts.trouble)
    state = f"; checkpoints in {facts.state}" if facts.state else ""
    text = f"needs no key; serves {_some(facts.models)}{state}"
    return Finding("service", plugin.name, text, ok=True)


def _tinker(name: str, *, offline: bool) -> Finding:
    """The hosted service, or the server that TINKER_BASE_URL names."""
    is_set = any(os.environ.get(variable, "").strip() for variable in (KEY_VARIABLE, URL_VARIABLE))
    try:
        endpoint = hosted(ServiceOptions())
    except KeyMissingError as error:
        return Finding("service", name, error.message, ok=False if is_set else None)
    except GeospotError as error:
        return Finding("service", name, error.message, ok=False)
    where = "hosted" if endpoint.base_url == HOSTED_URL else f"at {endpoint.base_url}"
    key = {None: "the SDK's own credentials", NO_KEY: "no key"}.get(
        endpoint.api_key, f"the key in {endpoint.api_key_env}"
    )
    if offline:
        return Finding("service", name, f"{where}, with {key}; not asked")
    from geospot.services import is_vision_model, open_service

    try:
        with open_service(name) as service:
            names = [model.name for model in service.models()]
    except GeospotError as error:
        return Finding("service", name, f"{where}, with {key}: {error.message}", ok=False)
    vision = [model for model in names if is_vision_model(model)]
    others = f" and {len(names) - len(vision)} without vision" if len(vision) < len(names) else ""
    text = f"{where}, with {key}: answers; serves {_some(vision)}{others}"
    return Finding("service", name, text, ok=True)


def _some(names: Sequence[str]) -> str:
    """The first names, and how many there are more."""
    more = len(names) - _SHOWN
    shown = ", ".join(names[:_SHOWN]) or "no vision model"
    return f"{shown} and {more} more" if more > 0 else shown


def _key(name: str, use: str) -> Finding:
    value = os.environ.get(name)
    if value is None:
        return Finding("key", name, f"not set (for {use})")
    if not value.strip():
        return Finding("key", name, "set, but empty", ok=False)
    if value != value.strip():
        return Finding("key", name, "set, with white space around it", ok=False)
    if name == "TINKER_API_KEY" and not value.startswith("tml-"):
        return Finding("key", name, "set, but Tinker keys start with tml-", ok=False)
    return Finding("key", name, "set", ok=True)


def _cache() -> Finding:
    from geospot.data.open import default_cache_dir

    folder = default_cache_dir()
    there = folder
    while not there.exists():
        there = there.parent
    free_gb = shutil.disk_usage(there).free / 1e9
    writable = os.access(there, os.W_OK)
    text = f"{folder}, {free_gb:.1f} GB free" + ("" if writable else ", NOT writable")
    return Finding("cache", "data", text, ok=writable)


def _reach(hub: str, base_urls: Sequence[str]) -> list[Finding]:
    with ThreadPoolExecutor(max_workers=8) as pool:
        of_hub = pool.submit(_answers, hub, hub, _said_of_hub)
        of_servers = [
            pool.submit(_answers, url, _models_of(url), _said_of_models) for url in base_urls
        ]
        return [answer.result() for answer in (of_hub, *of_servers)]


def _models_of(base_url: str) -> str:
    """The address below a base URL that lists a server's models, as every OpenAI-compatible has it."""
    plain = base_url.rstrip("/")
    return plain if plain.endswith("/models") else f"{plain}/models"


def _answers(url: str, asked: str, said_of: Callable[[int], tuple[str, bool | None]]) -> Finding:
    """What answers to a GET of `asked` without a key; `said_of` judges the HTTP status."""
    import httpx

    host = _http_host(url)
    if host is None:
        text = "no http address; write it like http://127.0.0.1:8000/v1"
        return Finding("reach", shown_url(url), text, ok=False)
    try:
        with httpx.Client(timeout=_TIMEOUT_S, trust_env=not is_loopback(host)) as client:
            status = client.get(asked).status_code
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        return Finding("reach", shown_url(url), f"no answer: {_why(error)}", ok=False)
    text, ok = said_of(status)
    return Finding("reach", shown_url(url), text, ok=ok)


def _said_of_hub(status: int) -> tuple[str, bool | None]:
    """Any status will do: something is there."""
    return f"answers (HTTP {status})", True


def _said_of_models(status: int) -> tuple[str, bool | None]:
    """What the status of `/models` says of a server, and whether that is good."""
    if status in (404, 405):
        return f"answers, but no /models (HTTP {status}); does the address end in /v1?", None
    if status in (401, 403):
        return f"answers, and wants a key (HTTP {status})", True
    if status >= 500:
        return f"answers, but fails (HTTP {status})", False
    return f"answers (HTTP {status})", True if status < 300 else None


def _http_host(url: str) -> str | None:
    """The host of an http address; None if it is none."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # a port that is no number raises here
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or any(char.isspace() for char in url):
        return None
    return parts.hostname


def _why(error: Exception) -> str:
    """Why nothing answered, in words; libraries say it in numbers and in each system's own way."""
    import httpx

    causes = _causes(error)
    for kind, text in (
        (socket.gaierror, "no host has this name"),
        (ConnectionRefusedError, "nothing listens there; is the server running?"),
        (ssl.SSLError, "no TLS connection comes about; is it https, and its certificate valid?"),
        (httpx.TimeoutException, f"silent for {_TIMEOUT_S:g} s"),
        (httpx.ProxyError, "the proxy doesn't let it through"),
        (httpx.ProtocolError, "what listens there doesn't speak HTTP"),
        (ConnectionError, "the connection broke off"),
    ):
        if any(isinstance(cause, kind) for cause in causes):
            return text
    return "the address can't be reached from here"


def _causes(error: BaseException) -> list[BaseException]:
    """The error and what it came from; httpcore keeps the system's error as an argument."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop()
        if isinstance(one, BaseException) and one not in found:
            found.append(one)
            waiting += [one.__cause__, one.__context__, *one.args]
    return found
