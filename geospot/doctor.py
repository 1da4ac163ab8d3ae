"""What is installed, which keys are set, what answers: facts for a person whose setup fails."""

import os
import platform
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Final
from urllib.parse import urlsplit

from geospot import __version__
from geospot.plugins import BACKENDS, installed

PACKAGES: Final = (
    "openai",
    "tinker",
    "datasets",
    "huggingface_hub",
    "numpy",
    "pandas",
    "pillow",
    "pyarrow",
    "textual",
    "torch",
    "transformers",
)
KEYS: Final = {
    "OPENAI_API_KEY": "eval --backend openai at api.openai.com",
    "OPENROUTER_API_KEY": "eval --backend openai at openrouter.ai",
    "TINKER_API_KEY": "training and checkpoints on the hosted Tinker service",
    "HF_TOKEN": "gated data sets and models of the Hugging Face hub",
}
_TIMEOUT_S: Final = 5.0


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
    found += [_key(name, use) for name, use in KEYS.items()]
    found.append(_cache())
    if not offline:
        found += _reach([os.environ.get("HF_ENDPOINT") or "https://huggingface.co", *base_urls])
    return found


def _package(name: str) -> Finding:
    try:
        return Finding("package", name, version(name), ok=True)
    except PackageNotFoundError:
        text = "not installed" if find_spec(name) is None else "there, version unknown"
        return Finding("package", name, text)


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


def _reach(urls: Sequence[str]) -> list[Finding]:
    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(_answers, urls))


def _answers(url: str) -> Finding:
    """Whether anything answers HTTP there; any status will do."""
    import httpx

    host = urlsplit(url).hostname or url
    loopback = host in ("localhost", "::1") or host.startswith("127.")
    try:
        with httpx.Client(timeout=_TIMEOUT_S, trust_env=not loopback) as client:
            status = client.get(url).status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = str(error) or type(error).__name__
        return Finding("reach", url, f"no answer: {reason}", ok=False)
    return Finding("reach", url, f"answers (HTTP {status})", ok=True)
