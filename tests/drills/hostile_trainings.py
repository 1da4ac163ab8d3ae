"""Photos and rows that mean harm, trained on by `geospot sft` and `geospot rl`, and looked at in the app."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

from geospot.errors import ImageError
from geospot.images import prepare_image
from geospot.runs.rollouts import RolloutReader
from geospot.runs.thumbnails import MAX_SIDE, THUMBNAILS, thumbnail_name
from geospot.runs.watch import LOGS
from geospot.tui.widgets.photo import Photo, read_photo
from tests.support.rollout_screens import Shown, run_with_rollouts, show_rollouts, write_rollouts
from tests.support.rollouts import rollout

_SHARED: Final = {
    "model_name": "geospot/tiny-vlm-scratch",
    "split": "test",
    "batch_size": 8,
    "eval_every": 0,
}
_OF_SFT: Final = {"test_size": 0}
_OF_RL: Final = {"group_size": 2, "max_tokens": 16, "min_rollouts": 0}
"""However many photos of a step are none, the run goes on: they are what is tried."""


_TOO_LONG: Final = "and the model's context"
"""A label of megabytes is no fault of its photo."""


def trainings(service: str, spec: str, folder: Path) -> dict[str, list[str]]:
    """The commands that train on a data set's test split; each run directory has its command's name."""
    made: dict[str, list[str]] = {}
    for name, own in (("sft", _OF_SFT), ("rl", _OF_RL)):
        values = _SHARED | own | {"service": service, "hf_repo": spec, "log_path": folder / name}
        made[name] = [name, *(f"{key}={value}" for key, value in values.items())]
    return made


def wrongly_trained(
    folder: Path, asked: Collection[str], refused: Collection[str], secret: bytes
) -> Iterator[str]:
    """Photos that a run should have learned from and didn't, or the other way round.

    Args:
        folder: where the run directories of `trainings` are.
        asked, refused: ids, without the suffix of a file's name.
        secret: a photo outside of the data set.
    """
    said = (folder / "sft" / LOGS).read_text(errors="replace").splitlines()
    lines = [line for line in said if "Photo lost: " in line and _TOO_LONG not in line]
    lost = {Path(_id_in(line)).stem for line in lines}
    yield from (f"sft learned from {id_}, which is no photo" for id_ in refused if id_ not in lost)
    yield from (f"sft lost {id_}, which is a photo" for id_ in asked if id_ in lost)
    reader = RolloutReader(folder / "rl")
    reader.look()
    seen = {Path(one.sample_id).stem for step in reader.steps for one in reader.read(step)}
    yield from (f"rl asked about {id_}, which is no photo" for id_ in refused if id_ in seen)
    yield from (f"rl never asked about {id_}" for id_ in asked if id_ not in seen)
    stolen = prepare_image(secret, MAX_SIDE).data
    for path in folder.glob(f"*/{THUMBNAILS}/*"):
        if path.read_bytes() == stolen:
            yield f"{path.parts[-3]} took a photo from outside of the data set"


def _id_in(line: str) -> str:
    return line.partition("Photo lost: ")[2].partition(": ")[0]


def wrongly_shown(photos: Mapping[str, bytes], folder: Path) -> list[str]:
    """What the rollouts screen makes of a run whose thumbnails these files are: a picture, or a reason."""
    run = run_with_rollouts(folder, steps=())
    write_rollouts(run, {0: [rollout(0, n, 0, sample_id=id_) for n, id_ in enumerate(photos)]})
    (run / THUMBNAILS).mkdir()
    paths = [run / THUMBNAILS / f"{thumbnail_name(id_)}.jpg" for id_ in photos]
    for path, data in zip(paths, photos.values(), strict=True):
        path.write_bytes(data)
    lost: list[str] = []

    async def look(shown: Shown) -> None:
        photo = shown.screen.query_one(Photo)
        for number, path in enumerate(paths):
            await shown.at(0, number)
            reason = _reason(path)
            await shown.until(
                lambda reason=reason: (
                    photo.has_class("-picture") is not bool(reason) and photo.reason == reason
                )
            )
            lost.extend(_unfit_for_a_terminal(shown.painted))
            await shown.press("n")

    show_rollouts(run, look)
    return lost


def _reason(path: Path) -> str:
    """Why a file has no picture, empty where it has one."""
    try:
        read_photo(path)
    except ImageError as error:
        return str(error)
    return ""


def _unfit_for_a_terminal(painted: str) -> Iterator[str]:
    if odd := sorted({char for char in painted if ord(char) < 32 and char != "\n"}):
        yield f"the screen holds {odd}"
