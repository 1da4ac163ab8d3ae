"""`geospot checkpoints`."""

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from geospot.services.archive import Archive, ArchivedCheckpoint, open_archive
from geospot.services.endpoint import ServiceOptions
from geospot.textsafe import printable

if TYPE_CHECKING:
    from geospot.runs.checkpoints import RunCheckpoint

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, add_completion=False)

_SHIPPED: Final = "geospot/"
"""What the names of models begin with that need no checkpoint."""

Service = Annotated[
    str,
    typer.Option(
        help="Whose checkpoints: `local` (the embedded engine's and `geospot serve`'s state folder), "
        "`tinker` (hosted), or the URL of a service."
    ),
]
StateDir = Annotated[
    Path | None,
    typer.Option(
        help="State folder of `local`. Default: GEOSPOT_STATE_DIR, or "
        "~/.local/state/geospot/checkpoints."
    ),
]
KeyEnv = Annotated[
    str | None,
    typer.Option(help="NAME of the environment variable with the service's key."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Which = Annotated[
    str,
    typer.Argument(
        metavar="CHECKPOINT",
        help="A tinker:// path, or a run directory (DIR@NAME picks a checkpoint).",
        show_default=False,
    ),
]


@app.command("list")
def list_(
    service: Service = "local",
    run: Annotated[
        str | None, typer.Option(help="Only those of this training run's id.", show_default=False)
    ] = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
    api_key_env: KeyEnv = None,
) -> None:
    """List checkpoints, the newest first.

    \b
    geospot checkpoints list
    geospot checkpoints list --service tinker --json
    """
    with _archive(service, state_dir, api_key_env) as archive:
        found = [c for c in archive.all() if run is None or c.path.startswith(f"tinker://{run}/")]
    if as_json:
        typer.echo(json.dumps([checkpoint.to_json() for checkpoint in found], indent=2))
        return
    for checkpoint in found:
        typer.echo(
            f"{checkpoint.created}  {checkpoint.kind:<8}  {_size(checkpoint.bytes):>9}  "
            f"{printable(checkpoint.base_model or '')}  {printable(checkpoint.path)}"
        )
    if not found:
        typer.echo("There are no checkpoints.", err=True)


@app.command()
def show(
    which: Which,
    service: Service = "local",
    as_json: AsJson = False,
    state_dir: StateDir = None,
    api_key_env: KeyEnv = None,
) -> None:
    """Show what is known of a checkpoint.

    \b
    geospot checkpoints show runs/sft
    geospot checkpoints show tinker://…/weights/final --service tinker
    """
    path = _path(which, "weights")
    with _archive(service, state_dir, api_key_env) as archive:
        found = archive.find(path)
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=2))
        return
    for name, value in _facts(found):
        typer.echo(f"{name:<11} {value}")


@app.command()
def export(
    which: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT",
            help="A tinker:// path, a run directory (DIR@NAME picks a checkpoint), or a model that "
            "ships with geospot.",
            show_default=False,
        ),
    ],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new or empty folder.")],
    service: Service = "local",
    state_dir: StateDir = None,
    api_key_env: KeyEnv = None,
) -> None:
    """Write a checkpoint into a folder: an adapter as PEFT reads it.

    Of a run directory, checkpoints saved for training only are taken too. Where all weights were
    trained, the whole model is written. A hosted checkpoint is downloaded; the service has to load it
    for that, which takes a minute. A model that ships with geospot becomes a folder that
    `transformers serve` serves.

    \b
    geospot checkpoints export runs/sft adapter/
    geospot checkpoints export geospot/tiny-vlm tiny/
    geospot checkpoints export tinker://…/weights/final adapter/ --service tinker
    """
    kind = "sampler_weights" if service == "local" else "weights"
    path = which if _is_shipped(which) else _path(which, kind)
    with _archive(service, state_dir, api_key_env) as archive:
        written = archive.export(path, folder)
    for file in written:
        typer.echo(printable(str(file)))


@app.command()
def delete(
    which: Annotated[
        str, typer.Argument(metavar="CHECKPOINT", help="A tinker:// path.", show_default=False)
    ],
    service: Service = "local",
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask first.")] = False,
    state_dir: StateDir = None,
    api_key_env: KeyEnv = None,
) -> None:
    """Delete a checkpoint for good.

    \b
    geospot checkpoints delete tinker://…/weights/000100
    """
    with _archive(service, state_dir, api_key_env) as archive:
        if not yes:
            typer.confirm(f"Delete {printable(which)} for good?", abort=True)
        archive.delete(which)
    typer.echo(f"Deleted {printable(which)}")


@contextmanager
def _archive(service: str, state_dir: Path | None, api_key_env: str | None) -> Generator[Archive]:
    options = ServiceOptions(
        api_key_env=api_key_env,
        state_dir=state_dir,
        tell=lambda line: typer.echo(printable(line), err=True),
    )
    archive = open_archive(service, options)
    try:
        yield archive
    finally:
        archive.close()


def _is_shipped(which: str) -> bool:
    """Whether this names a model and no run directory, which may be called so too."""
    directory = which.rpartition("@")[0] or which
    return which.startswith(_SHIPPED) and not Path(directory).is_dir()


def _path(which: str, kind: str) -> str:
    """The path itself, or that of a run directory's checkpoint, of the kind wanted if there is one."""
    if which.startswith("tinker://"):
        return which
    directory, _, name = which.rpartition("@")
    if directory and Path(directory).is_dir():
        chosen = _of_run(Path(directory), name)
    else:
        chosen = _of_run(Path(which), None)
    paths = [chosen.state_path, chosen.sampler_path]
    fitting = [path for path in paths if path and f"/{kind}/" in path]
    return (fitting or [path for path in paths if path])[0]


def _of_run(run: Path, name: str | None) -> "RunCheckpoint":
    """The checkpoint that evaluation would take; where there is none, one saved for training only."""
    from geospot.runs.checkpoints import FINAL, choose_checkpoint, read_checkpoints

    saved = [row for row in read_checkpoints(run) if row.state_path and name in (None, row.name)]
    if saved and not any(row.sampler_path for row in saved):
        return next((row for row in reversed(saved) if row.name == FINAL), saved[-1])
    return choose_checkpoint(run, name)


def _facts(found: ArchivedCheckpoint) -> Iterator[tuple[str, str]]:
    yield "path", printable(found.path)
    yield "kind", found.kind
    yield "created", found.created
    yield "size", _size(found.bytes)
    yield "base model", printable(found.base_model or "unknown")
    yield "LoRA rank", "unknown" if found.lora_rank is None else str(found.lora_rank)
    if found.expires:
        yield "expires", found.expires


def _size(count: int | None) -> str:
    if count is None:
        return "?"
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return ""
