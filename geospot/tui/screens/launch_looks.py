"""What a launch form names, looked at: the disk in a thread, the service in a process of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

from geospot.config.load import nearest
from geospot.runs.launching import MODELS, Command
from geospot.tui.form import Checked, Form
from geospot.tui.looking import Asked, Look, look_at
from geospot.tui.screen import GeoScreen
from geospot.tui.screens.launch_checks import Around
from geospot.tui.screens.launch_checks import look_around as look_around_disk
from geospot.tui.screens.launch_choices import Offers


@dataclass(frozen=True, slots=True)
class Page:
    """One kind's form, and how it was when it was opened."""

    form: Form
    before: Mapping[str, str]


class LooksScreen(GeoScreen):
    """A form a kind, and what was found of what the one that is shown names. The subclass shows it."""

    offers: Offers

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind: Command = cast(Command, kind) if kind in MODELS else "sft"
        self.pages: dict[Command, Page] = {}
        self.checked = Checked()
        self.around = Around()
        self.look: Look | None = None
        """What was seen of `asked`; None until it is."""
        self.asked: Asked | None = None

    def show(self, name: str | None = None) -> None:
        """Draws the form as it is, with the cursor on a field."""
        raise NotImplementedError

    @property
    def form(self) -> Form:
        """The form of the kind that is shown."""
        return self.pages[self.kind].form

    @property
    def is_changed(self) -> bool:
        """Whether something was filled in since a form was opened."""
        return any(page.form.said != page.before for page in self.pages.values())

    @property
    def wrong(self) -> dict[str, str]:
        """What is wrong, by field: as the model, the disk and the service say."""
        if self.kind not in self.pages:
            return {}
        found = self.around.wrong_of(self.form) | self.wrong_of_service()
        return found | dict(self.checked.wrong)

    def whom(self) -> Asked:
        """The service or backend of the form."""
        form = self.form
        key = None if "api_key_env" in self.checked.wrong else form.said.get("api_key_env")
        if self.kind == "eval":
            base_url = None if "base_url" in self.checked.wrong else form.said.get("base_url")
            return Asked("backend", form.shown("backend"), base_url, key)
        return Asked("service", form.shown("service"), None, key)

    def look_around(self, is_settled: bool) -> None:
        """Looks at what the form names; at the service only while nobody is typing its name."""
        self.run_worker(partial(self._look_at_disk, is_settled), group="disk", exclusive=True)
        if is_settled and self.whom() != self.asked:
            self.run_worker(self.see_service, group="service", exclusive=True)

    async def _look_at_disk(self, is_settled: bool) -> None:
        await self.see_disk()
        if is_settled:
            self.disk_seen()

    def disk_seen(self) -> None:
        """Told when the disk was looked at, and nobody is typing."""
        raise NotImplementedError

    async def see_disk(self) -> None:
        """Looks at what the form names on this machine."""
        form = self.form
        folders = self.geospot.folders
        around = await self.geospot.reader.do(look_around_disk, form, folders, self.around)
        if form is self.form:
            self.around = around
            form.checkpoint_model = around.checkpoint_model
            self.show()

    async def see_service(self) -> None:
        """Looks at the service or backend."""
        asked = self.asked = self.whom()
        self.look = self.offers.look = None
        self.show()
        look = await look_at(asked)
        if look.trouble is not None:
            look = replace(look, trouble=_in_fields(look.trouble))
        if asked == self.asked:
            self.look = self.offers.look = look
            self.show()

    def wrong_of_service(self) -> dict[str, str]:
        """Why the service can't be used, and whether it has the model."""
        look = self.look
        if look is None or self.whom() != self.asked:
            return {}
        if look.trouble is not None:
            return {"backend" if self.kind == "eval" else "service": look.trouble}
        field = "model" if self.kind == "eval" else "model_name"
        model = self.form.said.get(field)
        if model is None and look.needs_model is not None:
            return {field: look.needs_model}
        is_path = model is not None and ("://" in model or field in self.around.notes_of(self.form))
        if not model or is_path or look.is_open or not look.models or model in look.models:
            return {}
        near = nearest(model, look.models)
        meant = f"; did you mean {near}?" if near else ""
        return {field: f"it isn't among the {len(look.models)} models that are served{meant}"}


def _in_fields(advice: str) -> str:
    """Advice for a command line in the words of the form, whose fields have the settings' names."""
    for words in (
        "--api-key-env NAME, or api_key_env=NAME for geospot sft and rl",
        "--api-key-env",
    ):
        advice = advice.replace(words, "api_key_env")
    return advice
