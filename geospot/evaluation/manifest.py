"""Content of `eval.json`: what was evaluated, how and with what."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from geospot.data.sample import GeoSample
from geospot.data.selection import Selection, sorted_sha256
from geospot.evaluation.results import FORMAT
from geospot.prompts import Prompt
from geospot.provenance import git_state, versions


def make_manifest(
    *,
    backend: Mapping[str, Any],
    dataset: Mapping[str, Any],
    prompt: Prompt | None,
    config: Mapping[str, Any],
) -> dict[str, Any]:
    """eval.json as it is before the first question.

    Args:
        backend: `name`, `model` and what else the backend says of itself; never a key.
        dataset: as `dataset_section` gives it.
        prompt: None where nobody was asked.
        config: every other setting.
    """
    made_with = versions()
    return {
        "format": FORMAT,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "geospot_version": made_with["geospot"],
        "backend": {"base_url": None} | dict(backend),
        "dataset": dict(dataset),
        "prompt": {
            "name": prompt.name if prompt else None,
            "sha": prompt.sha if prompt else None,
            "text": prompt.text if prompt else None,
            "system": prompt.system if prompt else None,
        },
        "config": dict(config),
        "canary": {"asked": False, "passed": None, "detail": ""},
        "versions": made_with,
        "git": git_state(),
    }


def dataset_section(spec: str, selection: Selection) -> dict[str, Any]:
    """Which images, of which data set."""
    return {
        "spec": spec,
        "name": selection.dataset,
        "split": selection.split,
        "order": selection.order,
        "n": len(selection),
        "available": selection.available,
        "fingerprint": selection.fingerprint,
        "truth_sha": truth_sha(selection.table),
        "self_selected": False,
        "dropped": selection.table.dropped,
    }


def truth_sha(samples: Iterable[GeoSample]) -> str:
    """SHA-256 (hexadecimal) of the sorted lines `id,latitude,longitude`.

    The fingerprint says which images were asked; this says against which truth they were held, which
    `--columns`, or a corrected data set, may change.
    """
    return sorted_sha256(f"{s.id},{s.latitude!r},{s.longitude!r}" for s in samples)
