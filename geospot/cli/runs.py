"""`geospot runs`: what is going on in run directories, and stopping, going on, branching off."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from geospot.cli.completion import DEFAULT_FOLDERS, complete_run, complete_run_checkpoint
from geospot.errors import UsageError
from geospot.textsafe import printable

if TYPE_CHECKING:
    from geospot.runs.catalogue import RunSummary
    from geospot.runs.checkpoints import RunCheckpoint
    from geospot.runs.control import Launched

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
    help="List training runs, and stop, resume and branch them. `geospot tui` shows them live.",
)

_LIVE_WITHIN_S: Final = 180.0
_OVER_EVERY_S: Final = 0.2
_LOG_LINES: Final = 5

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Run = Annotated[
    Path,
    typer.Argument(
        metavar="DIR", help="A run directory.", show_default=False, autocompletion=complete_run
    ),
]
Changes = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE", help="Settings to be changed, as in training.", show_default=False
    ),
]


_LIST: Final = "`geospot runs list` lists them."


@app.command("list", short_help="Runs in a table, or as JSON; filtered.")
def list_(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FOLDER",
            help="Where to look, at any depth. Default: runs and results.",
            show_default=False,
        ),
    ] = None,
    filtered: Annotated[
        str,
        typer.Option(
            "--filter", help="Only those for which this holds; see above.", show_default=False
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """List runs, those started last first: geospot's and tinker-cookbook's.

    States: running; silent (its process says nothing, or is on a machine that doesn't answer); finished;
    stopped (asked to); failed; died (killed, or the machine went down); unknown (another program's, and
    not touched for some minutes).

    A filter has terms that all have to hold: key:text, key=text, key>number, has:key, any text, and a -
    in front for the contrary. Keys: name, kind, model, state, phase, reason, host, step, total, done
    (0 to 1), reward, nll, km, elapsed, eta (seconds), tokens, cost, eval.

    \b
    geospot runs list
    geospot runs list runs /scratch/runs --filter 'kind:rl model:qwen reward>0.4 -state:died'
    geospot runs list --json --filter state:running
    """
    from geospot.query import parse_query
    from geospot.runs.catalogue import FILTER_KEYS, Catalogue

    query = parse_query(filtered, FILTER_KEYS)
    catalogue = Catalogue(_existing(folders))
    found = [catalogue.summary(run) for run in catalogue.scan()]
    shown = [run for run in found if query.matches(run.fields, lambda run=run: _text(run))]
    if as_json:
        typer.echo(json.dumps([_plain(run) for run in shown], indent=2))
        return
    for line in _table(shown):
        typer.echo(line)
    where = " or ".join(printable(str(folder)) for folder in catalogue.folders)
    if not found:
        typer.echo(f"There are no runs in {where}. `geospot sft --help` starts one.", err=True)
    elif query.terms:
        typer.echo(f"{len(shown)} of {len(found)} runs.", err=True)
    if catalogue.is_cut:
        typer.echo(f"Not all of {where} was searched: too many folders.", err=True)


@app.command(short_help="How one run stands, its checkpoints and its log.")
def show(run: Run, as_json: AsJson = False) -> None:
    """Show one run: how it stands, its checkpoints and evaluations, and the end of its log.

    \b
    geospot runs show runs/rl
    """
    from geospot.runs.catalogue import Catalogue
    from geospot.runs.evaluations import is_evaluation
    from geospot.runs.watch import RunWatch

    if not run.is_dir():
        raise UsageError(f"There is no run directory {printable(str(run))}.", _LIST)
    if is_evaluation(run):
        raise UsageError(
            f"{printable(str(run))} holds an evaluation, and no run.",
            "`geospot leaderboard show` ranks it, `geospot report` and `geospot tui` show its answers.",
        )
    summary = Catalogue([run]).summary(run)
    state = RunWatch(run).look()
    if as_json:
        more = {
            "checkpoints": [row.to_json() for row in state.checkpoints],
            "evaluation_results": [str(path) for path in state.evaluations],
        }
        typer.echo(json.dumps(_plain(summary) | more, indent=2))
        return
    for name, value in _facts(summary):
        typer.echo(f"{name:<12} {value}")
    _section("Checkpoints", [_checkpoint_line(row) for row in state.checkpoints])
    _section("Evaluations", [str(path) for path in state.evaluations])
    _section("Log", state.log[-_LOG_LINES:])


@app.command(short_help="Save a checkpoint and end; or end at once.")
def stop(
    run: Run,
    now: Annotated[
        bool,
        typer.Option("--now", help="End it at once; steps since the last checkpoint are lost."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask first.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Return when the run is over.")] = False,
) -> None:
    """Stop a run: it finishes its step, saves a checkpoint and ends. `resume` goes on with it.

    An evaluation finishes the questions under way and keeps all answers; the same command goes on with
    it. Only a process that is still the run's own is signalled, on this machine, and only one of yours.

    \b
    geospot runs stop runs/rl --wait
    geospot runs stop runs/rl --now --yes
    geospot runs stop results/some-vlm
    """
    from geospot.runs.control import check_stop, stop_now
    from geospot.runs.control import stop as ask_to_stop
    from geospot.runs.evaluations import is_evaluation, stop_evaluation
    from geospot.runs.processes import birth_of

    name = printable(str(run))
    if is_evaluation(run):
        pid, birth = stop_evaluation(run, now=now)
        kept = "every answer is kept" if now else "it finishes the questions under way"
        typer.echo(f"{'Ended' if now else 'Asked'} process {pid} of {name}: {kept}.")
        while wait and birth_of(pid) == birth:
            time.sleep(_OVER_EVERY_S)
        return
    if now and not yes:
        check_stop(run, now=True)  # nobody is asked about what can't be done
        typer.confirm(f"End {name} at once? Steps since its last checkpoint are lost.", abort=True)
    beat = stop_now(run) if now else ask_to_stop(run)
    if now:
        typer.echo(f"Ended process {beat.pid} of {name}, at step {beat.step}.")
    else:
        typer.echo(f"{name} was asked to stop: it finishes its step and saves.")
    while wait and beat.is_alive:
        time.sleep(_OVER_EVERY_S)


@app.command(short_help="Go on with a run from its newest checkpoint.")
def resume(run: Run, changes: Changes = None) -> None:
    """Go on with a run that was stopped, failed or died, from its newest checkpoint.

    It runs as a process of its own, which goes on when this terminal closes. Settings are those of the
    run; some may be changed that neither move a weight nor change what is measured (docs/runs.md). An
    evaluation asks for what is missing, as it was told the last time.

    \b
    geospot runs resume runs/rl
    geospot runs resume runs/rl save_every=50
    geospot runs resume results/some-vlm
    """
    from geospot.cli.keyvalue import said_in
    from geospot.runs.control import resume as go_on
    from geospot.runs.control import resume_settings
    from geospot.runs.evaluations import is_evaluation, resume_evaluation
    from geospot.runs.launching import MODELS

    if is_evaluation(run):
        if changes:
            raise UsageError(
                f"{printable(str(run))} holds an evaluation, which goes on as it was told.",
                "Give its command again, with the change.",
            )
        _follow(resume_evaluation(run))
        return
    kind, _ = resume_settings(run)
    _follow(go_on(run, said_in(MODELS[kind], changes or [])))


@app.command(short_help="Start a new run from a checkpoint of another.")
def branch(
    which: Annotated[
        str,
        typer.Argument(
            metavar="DIR@NAME",
            help="A checkpoint of a run.",
            show_default=False,
            autocompletion=complete_run_checkpoint,
        ),
    ],
    changes: Changes = None,
) -> None:
    """Start a new run from a checkpoint of another, with that one's configuration and your changes.

    log_path says where; without it the branch lies beside the run. Model, prompt and image size are those
    of the checkpoint. It runs as a process of its own, which goes on when this terminal closes.

    \b
    geospot runs branch runs/rl@000100 learning_rate=1e-4 log_path=runs/rl-slow
    """
    from geospot.cli.keyvalue import said_in
    from geospot.runs.checkpoints import split_name
    from geospot.runs.control import branch as start
    from geospot.runs.launching import MODELS
    from geospot.runs.rebuilding import settings_again

    run, name = split_name(which)
    if name is None:
        raise UsageError(
            f"{printable(which)} names no checkpoint of a run.",
            "Write DIR@NAME; `geospot runs show DIR` lists the names.",
        )
    said = said_in(MODELS[settings_again(run)[0]], changes or [])
    folder = Path(said.pop("log_path", None) or _free_name(run))
    _follow(start(run, name, said, folder))


def _follow(launched: "Launched") -> None:
    """Says what was started, and waits until it is on its way, or says why it isn't."""
    from geospot.runs.control import shown

    typer.echo(shown(launched.command))
    where = printable(str(launched.folder))
    typer.echo(f"Process {launched.pid}; what it prints is in {printable(str(launched.output))}")
    if launched.wait_until_live(_LIVE_WITHIN_S):
        typer.echo(
            f"It is on its way: `geospot tui {where}` watches it, `geospot runs stop` ends it."
        )
    else:
        typer.echo("It is still starting.", err=True)


def _free_name(run: Path) -> Path:
    """A folder beside the run that isn't there yet."""
    run = run.absolute()
    number = 1
    while (folder := run.with_name(f"{run.name}-branch-{number}")).exists():
        number += 1
    return folder


def _existing(folders: Sequence[Path] | None) -> Sequence[Path]:
    for folder in folders or ():
        if not folder.is_dir():
            raise UsageError(
                f"There is no folder {printable(str(folder))}.", "Name one that is there."
            )
    return folders or DEFAULT_FOLDERS


def _plain(run: "RunSummary") -> dict[str, Any]:
    return asdict(run) | {"folder": str(run.folder), "spark": list(run.spark)}


def _text(run: "RunSummary") -> str:
    """What a term without a key looks through."""
    return f"{run.name} {run.kind} {run.model} {run.standing} {run.reason}".casefold()


def _table(runs: Sequence["RunSummary"]) -> Iterator[str]:
    """A line a run under a line of titles; figures are flush right, the model fills the rest."""
    if not runs:
        return
    rows = [("STATE", "STEP", "SCORE", "", "MED KM", "ELAPSED", "LEFT", "RUN", "KIND", "MODEL")]
    rows += [_row(run) for run in runs]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if at in (1, 2, 4, 5, 6) else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _row(run: "RunSummary") -> tuple[str, ...]:
    from geospot.numbertext import compact, duration

    return (
        run.standing,
        f"{run.step:,}/{run.total:,}" if run.total else f"{run.step:,}",
        "" if run.score is None else compact(run.score),
        run.score_name,
        "" if run.median_km is None else compact(run.median_km),
        "" if run.elapsed_s is None else duration(run.elapsed_s),
        "" if run.eta_s is None else duration(run.eta_s),
        printable(run.name),
        run.kind,
        printable(run.model),
    )


def _facts(run: "RunSummary") -> Iterator[tuple[str, str]]:
    from geospot.numbertext import compact, duration

    yield "run", printable(str(run.folder))
    why = f": {printable(run.reason)}" if run.reason else ""
    doing = f", {printable(run.phase)}" if run.phase else ""
    yield "state", f"{run.standing}{doing}{why}"
    if run.pid:
        yield "process", f"{run.pid} on {printable(run.host)}{'' if run.is_here else ' (not here)'}"
    yield "kind", run.kind
    yield "model", printable(run.model) or "unknown"
    yield "steps", f"{run.step:,} of {run.total:,}" if run.total else f"{run.step:,}"
    if run.score is not None:
        yield run.score_name, f"{run.score:.4g}"
    if run.median_km is not None:
        yield "median error", f"{compact(run.median_km)} km"
    if run.elapsed_s is not None:
        yield "elapsed", duration(run.elapsed_s)
    if run.eta_s is not None:
        yield "left", duration(run.eta_s)
    if run.tokens is not None:
        yield "tokens", f"{run.tokens:,}"
    if run.cost_usd is not None:
        yield "cost", f"{run.cost_usd:,.2f} USD"


def _section(title: str, lines: Sequence[str]) -> None:
    if lines:
        typer.echo(f"\n{title}")
    for line in lines:
        typer.echo(f"  {printable(line)}")


def _checkpoint_line(row: "RunCheckpoint") -> str:
    uses = [
        use for use, path in (("train on", row.state_path), ("sample", row.sampler_path)) if path
    ]
    return f"{row.name}  to {' and to '.join(uses)}"
