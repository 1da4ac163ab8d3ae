"""What to call a result: its model, and what tells it from the others of that model."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from geospot.evaluation.standing import section
from geospot_leaderboard.collect import Result

_SETTINGS: Final[Mapping[str, tuple[str, str]]] = {
    "temperature": ("config", "temperature"),
    "samples": ("config", "samples"),
    "address": ("backend", "base_url"),
    "path": ("backend", "path"),
    "max-image-size": ("config", "max_image_size"),
    "max-tokens": ("config", "max_tokens"),
    "extra-body": ("config", "extra_body"),
}
"""Beside the prompt: what is shown where it differs, and where eval.json has it."""

_SHORT_SHA: Final = 8


@dataclass(frozen=True, slots=True)
class Name:
    """What to call a result among others; not escaped for any output."""

    label: str
    """Backend and model."""
    directory: str = ""
    """Empty where the label is the only one of its kind."""
    settings: tuple[str, ...] = ()
    """What differs from the others with this label, such as `temperature 0.7`."""

    @property
    def short(self) -> str:
        """Label, and directory where it takes one to know which is meant."""
        return f"{self.label} ({self.directory})" if self.directory else self.label

    @property
    def detail(self) -> str:
        """Directory and settings; empty where the label says it all."""
        return ": ".join(part for part in (self.directory, ", ".join(self.settings)) if part)


def names(results: Sequence[Result]) -> dict[Path, Name]:
    """A name for each result by its path, so that no two of them read the same."""
    count = Counter(result.label for result in results)
    named: dict[Path, Name] = {}
    for result in results:
        if count[result.label] == 1:
            named[result.path] = Name(result.label)
            continue
        alike = [other for other in results if other.label == result.label]
        named[result.path] = Name(result.label, result.name, tuple(_settings(result, alike)))
    return named


def _settings(result: Result, alike: Sequence[Result]) -> Iterable[str]:
    """What was set differently in these results, as it is in this one."""
    if _differs([_at(one, "prompt", "sha") for one in alike]):
        sha = str(_at(result, "prompt", "sha"))[:_SHORT_SHA]
        by_name = [(_at(one, "prompt", "name"), _at(one, "prompt", "sha")) for one in alike]
        name = _at(result, "prompt", "name")
        clear = len({sha for other, sha in by_name if other == name}) == 1
        yield f"prompt {_shown(name)}" if clear else f"prompt {_shown(name)} {sha}"
    for setting, (part, key) in _SETTINGS.items():
        if _differs([_at(one, part, key) for one in alike]):
            yield f"{setting} {_shown(_at(result, part, key))}"


def _differs(values: Sequence[Any]) -> bool:
    return any(value != values[0] for value in values)


def _at(result: Result, part: str, key: str) -> Any:
    return section(result.manifest, part).get(key)


def _shown(value: Any) -> str:
    if value is None:
        return "default"
    return f"{value:g}" if isinstance(value, float) else str(value)
