"""`geospot sft`, and `geospot-sft`, which is the same."""

from typing import Annotated

import typer

from geospot.cli import run_program
from geospot.cli.keyvalue import ConfigFile, SettingsCommand, read_settings, settings_argument
from geospot.cli.learning import EPILOG, train
from geospot.config.learning import SFTConfig

app = typer.Typer(rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False)


class SFTCommand(SettingsCommand):
    """Lists the settings in its help."""

    model = SFTConfig
    kind = "sft"


Settings = Annotated[list[str] | None, settings_argument(SFTConfig)]


@app.command(cls=SFTCommand, epilog=EPILOG)
def sft(settings: Settings = None, config: ConfigFile = None) -> None:
    """Fine-tune a vision-language model on photos and the answers that a person would give.

    Writes a run directory with metrics, checkpoints and evaluations; `--model RUN_DIRECTORY` of
    `geospot eval` and load_checkpoint_path of `geospot rl` take it from there. What is said on the
    command line wins over the TOML file.

    \b
    geospot sft service=local hf_repo=world max_samples=4000 num_epochs=4 log_path=runs/sft
    geospot sft hf_repo=osv5m/osv5m max_samples=20000 batch_size=64 log_path=runs/osv
    geospot sft config=sft.toml behavior_if_log_dir_exists=resume
    """
    wanted = read_settings(SFTConfig, settings or [], config)
    from geospot.sft import run

    train(run, wanted)


def main() -> None:
    """Entry point of `geospot-sft`."""
    run_program(app)
