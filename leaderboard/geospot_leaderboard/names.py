"""What to call a result: its model, and what tells it from the others of that model."""

from collections import defaultdict
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
    "renderer": ("config", "renderer"),
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
    by_label: defaultdict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_label[result.label].append(result)
    named: dict[Path, Name] = {}
    for label, alike in by_label.items():
        if len(alike) == 1:
            named[alike[0].path] = Name(label)
            continue
        differing = _Differing.among(alike)
        for result in alike:
            named[result.path] = Name(label, result.name, tuple(differing.settings(result)))
    return named


@dataclass(frozen=True, slots=True)
class _Differing:
    """What was set differently in some results."""

    settings_set: tuple[str, ...]
    is_prompt: bool
    clear_prompts: frozenset[str]
    """Names of prompts that stand for one text only."""

    @classmethod
    def among(cls, alike: Sequence[Result]) -> "_Differing":
        shas: defaultdict[str, set[str]] = defaultdict(set)
        for one in alike:
            shas[str(_at(one, "prompt", "name"))].add(str(_at(one, "prompt", "sha")))
        return cls(
            tuple(
                setting
                for setting, (part, key) in _SETTINGS.items()
                if _differs([_at(one, part, key) for one in alike])
            ),
            _differs([_at(one, "prompt", "sha") for one in alike]),
            frozenset(name for name, of_name in shas.items() if len(of_name) == 1),
        )

    def settings(self, result: Result) -> Iterable[str]:
        """How the differing settings are in this result."""
        if self.is_prompt:
            sha = str(_at(result, "prompt", "sha"))[:_SHORT_SHA]
            name = _at(result, "prompt", "name")
            clear = str(name) in self.clear_prompts
            yield f"prompt {_shown(name)}" if clear else f"prompt {_shown(name)} {sha}"
        for setting in self.settings_set:
            yield f"{setting} {_shown(_at(result, *_SETTINGS[setting]))}"


def _differs(values: Sequence[Any]) -> bool:
    return any(value != values[0] for value in values)


def _at(result: Result, part: str, key: str) -> Any:
    return section(result.manifest, part).get(key)


def _shown(value: Any) -> str:
    if value is None:
        return "default"
    return f"{value:g}" if isinstance(value, float) else str(value)
