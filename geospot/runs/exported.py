"""How an exported model is to be asked: `geospot.json` in its folder, beside what other programs read."""

from pathlib import Path
from typing import Final

from geospot.durable import replace_json
from geospot.runs.checkpoints import RunSettings, read_settings

ASKED: Final = "geospot.json"


def write_asked(folder: Path, checkpoint: str | None, settings: RunSettings) -> None:
    """Notes beside a model's files which checkpoint they are and how it was asked in training.

    Args:
        checkpoint: its `tinker://` path; None for a model that is no checkpoint.
    """
    prompt = settings.prompt
    content = {
        "checkpoint": checkpoint,
        "model_name": settings.model_name,
        "renderer_name": settings.renderer_name,
        "prompt": prompt and prompt.name,
        "prompt_text": prompt and prompt.text,
        "system_prompt": prompt and prompt.system,
        "max_image_size": settings.max_image_size,
    }
    known = {key: value for key, value in content.items() if value is not None}
    replace_json(folder / ASKED, known)


def read_asked(folder: Path) -> RunSettings | None:
    """What `write_asked` noted there; None where there is no such note.

    Raises:
        UsageError: it is there and can't be read.
    """
    return read_settings(folder, ASKED) if (folder / ASKED).is_file() else None
