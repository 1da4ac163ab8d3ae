"""`geospot checkpoints`."""

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from geospot.cli.checkpoint_names import is_shipped, named_in, path_of, run_of
from geospot.cli.completion import complete_service
from geospot.errors import UsageError
from geospot.services.archive import Archive, ArchivedCheckpoint, new_folder, open_archive
from geospot.services.endpoint import ServiceOptions
from geospot.textsafe import printable

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
    help="List, export and delete trained checkpoints.",
)

Service = Annotated[
    str,
    typer.Option(
        help="Whose checkpoints: `local` (the embedded engine's and `geospot serve`'s state folder), "
        "`tinker` (hosted), or the URL of a service.",
        autocompletion=complete_service,
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
        str | None,
        typer.Option(
            help="Only those of this training run's id, with :train:0 at its end or without.",
            show_default=False,
        ),
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
        place, every = archive.place, list(archive.all())
    found = [c for c in every if run is None or c.path.startswith(_starts(run))]
    if run is not None and not found:
        raise UsageError(
            f"{place} has no checkpoints of a run {printable(run)}.", _runs_there(every)
        )
    if as_json:
        typer.echo(json.dumps([checkpoint.to_json() for checkpoint in found], indent=2))
        return
    for checkpoint in found:
        # A path alone nearly fills a line of 80 characters.
        typer.echo(printable(checkpoint.path))
        typer.echo(
            f"  {checkpoint.created}  {checkpoint.kind:<8}  {_size(checkpoint.bytes):>9}  "
            f"{printable(checkpoint.base_model or '')}"
        )
    few = f"{len(found)} checkpoint{'s' * (len(found) != 1)}" if found else "no checkpoints"
    typer.echo(f"{place} has {few}{' of this run' * (run is not None)}.", err=True)


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
    path = path_of(which, "weights")
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
    path = which if is_shipped(which) else path_of(which, kind)
    with _archive(service, state_dir, api_key_env) as archive, new_folder(folder) as draft:
        archive.export(path, draft)
        _note_how_asked(archive, which, path, draft)
    for file in sorted(folder.iterdir()):
        typer.echo(printable(str(file)))
    if (folder / "adapter_config.json").is_file():
        typer.echo(
            "An adapter, for peft, transformers and vLLM; geospot evaluates the checkpoint itself.",
            err=True,
        )
    else:
        typer.echo(
            f"A whole model: geospot eval --backend local --model {printable(str(folder))}\n"
            "geospot.json says how it was asked in training; eval asks it so.",
            err=True,
        )


def _note_how_asked(archive: Archive, which: str, path: str, folder: Path) -> None:
    """Puts geospot.json into the folder: what the run's configuration says, or else the base model."""
    from geospot.runs.checkpoints import RunSettings, read_settings
    from geospot.runs.exported import write_asked

    if is_shipped(which):
        write_asked(folder, None, RunSettings(model_name=which))
        return
    named = run_of(which)
    settings = RunSettings() if named is None else read_settings(named[0])
    if settings.model_name is None:
        settings = replace(settings, model_name=archive.base_model_of(path))
    write_asked(folder, path, settings)


@app.command()
def delete(
    which: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT",
            help="A tinker:// path, or DIR@NAME for what a run saved under that name.",
            show_default=False,
        ),
    ],
    service: Service = "local",
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask first.")] = False,
    state_dir: StateDir = None,
    api_key_env: KeyEnv = None,
) -> None:
    """Delete a checkpoint for good.

    Of a run, both of its paths go, to train on from and to sample from, and its row in
    checkpoints.jsonl.

    \b
    geospot checkpoints delete tinker://…/weights/000100
    geospot checkpoints delete runs/sft@000100
    """
    from geospot.runs.deleting import delete_and_forget, paths_of

    named = run_of(which)
    paths = [which] if named is None else paths_of(named_in(*named))
    with _archive(service, state_dir, api_key_env) as archive:
        there = _those_there(archive, paths)
        listed = " and ".join(printable(path) for path in there)
        if not yes:
            typer.confirm(f"Delete {listed} for good?", abort=True)
        if named is None:
            archive.delete(which)
        else:
            gone = [path for path in paths if path not in there]
            delete_and_forget(named[0], there, archive.delete, gone)
    typer.echo(f"Deleted {listed}")


def _those_there(archive: Archive, paths: list[str]) -> list[str]:
    """Those of a checkpoint's paths that the service has.

    Raises:
        UsageError: it has none of them.
    """
    known = {checkpoint.path for checkpoint in archive.all()}
    there = [path for path in paths if path in known]
    if not there:
        archive.find(paths[0])  # says what is missing, and where to look
    return there or paths


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


def _starts(run: str) -> tuple[str, str]:
    """How the paths of a run's checkpoints begin."""
    return f"tinker://{run}/", f"tinker://{run}:"


def _runs_there(found: list[ArchivedCheckpoint]) -> str:
    runs = dict.fromkeys(one.path.removeprefix("tinker://").partition("/")[0] for one in found)
    if not runs:
        return "It has none at all; --service and --state-dir look elsewhere."
    shown = ", ".join(printable(run) for run in list(runs)[:4])
    return f"It has those of {shown}{' and others' * (len(runs) > 4)}."


def _facts(found: ArchivedCheckpoint) -> Iterator[tuple[str, str]]:
    yield "path", printable(found.path)
    yield "kind", found.kind
    yield "created", found.created
    yield "size", _size(found.bytes)
    yield "base model", printable(found.base_model or "unknown")
    rank = "none (all weights)" if found.is_lora is False else found.lora_rank
    yield "LoRA rank", "unknown" if rank is None else str(rank)
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
