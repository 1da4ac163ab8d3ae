"""What is offered below a field while one types: names that are known, checkpoints, models, paths."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from geospot.prompts import PROMPTS
from geospot.tui.form import Form, FormField
from geospot.tui.looking import Look, names_of
from geospot.tui.reading import Reader
from geospot.tui.screens.launch_checks import Beginning, beginnings, free_path, paths_like

_SERVER: Final = "http://127.0.0.1:8123"
_CHAT_SERVERS: Final = ("http://127.0.0.1:8000/v1", "https://openrouter.ai/api/v1")
_DATA: Final = ("world", "osv5m/osv5m")
_DATA_FIELDS: Final = ("hf_repo", "eval_hf_repo", "dataset")
_FOLDERS: Final = ("log_path", "out")
_KEY_ENDS: Final = ("_KEY", "_TOKEN")


@dataclass(slots=True)
class Offers:
    """What can be offered. `look` and `begun` are filled as they become known."""

    reader: Reader
    folders: Sequence[Path]
    look: Look | None = None
    begun: Sequence[Beginning] = field(default_factory=list[Beginning])

    async def refresh(self) -> None:
        """Reads the checkpoints of the runs that are there."""
        self.begun = await self.reader.do(beginnings, self.folders)

    async def of(self, form: Form, about: FormField, typed: str) -> Sequence[str]:
        """What the field could hold, of what is typed so far."""
        last = typed.rpartition(",")[2].strip() if about.is_list else typed.strip()
        found = await self._known(form, about.name, last)
        fitting = [text for text in (*about.words, *found) if last.casefold() in text.casefold()]
        if about.is_list and "," in typed:
            before = typed.rpartition(",")[0]
            fitting = [f"{before},{text}" for text in fitting if text not in before.split(",")]
        return list(dict.fromkeys(text for text in fitting if text != typed))

    async def _known(self, form: Form, name: str, typed: str) -> Sequence[str]:
        if name == "service":
            return [*await self.reader.do(names_of, "service"), _SERVER]
        if name == "backend":
            return await self.reader.do(names_of, "backend")
        if name == "base_url":
            return _CHAT_SERVERS
        if name == "api_key_env":
            return sorted(key for key in os.environ if key.endswith(_KEY_ENDS))
        if name == "prompt":
            return [*PROMPTS, *await self._paths(typed)]
        if name in ("model_name", "model"):
            return self._models(form)
        if name == "load_checkpoint_path":
            return [one.text for one in self.begun if one.is_trainable]
        if name in _DATA_FIELDS:
            return [*_DATA, *await self._paths(typed)]
        if name in _FOLDERS:
            usual = Path(typed or form.shown(name) or "runs/run")
            return [str(await self.reader.do(free_path, usual)), *await self._paths(typed)]
        return ()

    def _models(self, form: Form) -> Sequence[str]:
        served = list(self.look.models) if self.look is not None else []
        if form.kind == "eval" and form.shown("backend") in ("tinker", "local"):
            served += [one.text for one in self.begun if one.is_sampled]
        return served

    async def _paths(self, typed: str) -> Sequence[str]:
        return await self.reader.do(paths_like, typed) if "/" in typed else ()
