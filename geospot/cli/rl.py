"""`geospot rl`, and `geospot-train`, which is the same."""

from pathlib import Path
from typing import Annotated

import typer

from geospot.cli import run_program
from geospot.cli.keyvalue import SettingsCommand, complete_key, read_settings
from geospot.cli.learning import EPILOG, train
from geospot.config.learning import RLConfig

app = typer.Typer(rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False)


class RLCommand(SettingsCommand):
    """Lists the settings in its help."""

    model = RLConfig
    kind = "rl"


def _complete(incomplete: str) -> list[str]:
    return complete_key(RLConfig, incomplete)


Settings = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE",
        help="Settings, listed below.",
        show_default=False,
        autocompletion=_complete,
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="TOML file with any of the settings; config=FILE is the same."),
]


@app.command(cls=RLCommand, epilog=EPILOG)
def rl(settings: Settings = None, config: ConfigFile = None) -> None:
    """Train a vision-language model by the distance of its answers: GRPO.

    Each photo is asked group_size times; answers nearer than their group's mean become likelier. It
    starts from a model that answers already, as `geospot sft` leaves one.

    \b
    geospot rl service=local hf_repo=world coord_tau=2000 \\
        load_checkpoint_path=runs/sft log_path=runs/rl
    geospot rl hf_repo=osv5m/osv5m max_samples=5000 group_size=8 \\
        tau_schedule=geometric load_checkpoint_path=runs/osv-sft
    """
    wanted = read_settings(RLConfig, settings or [], config)
    from geospot.train import run

    train(run, wanted)


def main() -> None:
    """Entry point of `geospot-train`."""
    run_program(app)
