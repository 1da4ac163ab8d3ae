"""Answers that were recorded before: a CSV or JSON Lines file is asked instead of a model."""

import hashlib
from pathlib import Path
from typing import Any

from geospot.errors import UsageError
from geospot.evaluation.backend import BackendFault, BackendOptions, Question, Reply
from geospot.evaluation.predictions import Predictions


def create(options: BackendOptions) -> "ReplayBackend":
    """Entry point of `--backend replay`; reads the file that `--model` names."""
    if not options.model:
        raise UsageError(
            "The replay backend needs a file of recorded answers.", "Name it: --model answers.csv."
        )
    return ReplayBackend(Path(options.model).expanduser())


class ReplayBackend:
    """Gives back what a file says, by sample id and draw."""

    name = "replay"
    needs_image = False
    remote = False

    def __init__(self, path: Path) -> None:
        self.model = path.stem
        self._predictions = Predictions(path)

    async def check(self) -> None:
        """The file was read when the backend was made."""

    async def ask(self, question: Question) -> Reply:
        """The recorded answer.

        Raises:
            BackendFault: `missing`, the file has none for this id and draw.
        """
        reply = self._predictions.reply(question.sample_id, question.draw)
        if reply is None:
            nth = f", draw {question.draw}" if question.draw else ""
            name = self._predictions.path.name
            raise BackendFault("missing", f"{name} has no row for {question.sample_id}{nth}.")
        return reply

    def describe(self) -> dict[str, Any]:
        """Which file, by name and content."""
        path = self._predictions.path
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"file": path.name, "sha256": digest, "answers": len(self._predictions)}

    async def aclose(self) -> None:
        """Nothing is open."""
