"""`geospot rl`, and `geospot-train`, which is the same."""

from typing import Annotated

import typer

from geospot.cli import run_program
from geospot.cli.keyvalue import ConfigFile, SettingsCommand, read_settings, settings_argument
from geospot.cli.learning import EPILOG, train
from geospot.config.learning import RLConfig

app = typer.Typer(rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False)


class RLCommand(SettingsCommand):
    """Lists the settings in its help."""

    model = RLConfig
    kind = "rl"


Settings = Annotated[list[str] | None, settings_argument(RLConfig)]


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
