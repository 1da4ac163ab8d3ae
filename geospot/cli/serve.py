"""`geospot serve`."""

from pathlib import Path
from typing import Annotated

import typer

from geospot.cli.console import stderr_console
from geospot.plugins import SERVERS, load
from geospot.services.endpoint import ServeOptions, ServerRunner

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog="Exit codes: 0 stopped with Ctrl-C, 1 failed, 2 wrong usage.")
def serve(
    port: Annotated[
        int, typer.Option(help="TCP port; 0 takes a free one.", min=0, max=65535)
    ] = 8123,
    host: Annotated[
        str, typer.Option(help="Address to listen on. Any but the loopback needs --api-key-env.")
    ] = "127.0.0.1",
    models: Annotated[
        list[str] | None,
        typer.Option(
            help="Base model to serve beside geospot/tiny-vlm: hub id or folder. Repeatable. "
            "No other is loaded, whatever a client asks for."
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:1 … Default: CUDA where there is one.")
    ] = None,
    state_dir: Annotated[
        Path | None,
        typer.Option(
            help="Folder for checkpoints. Default: GEOSPOT_STATE_DIR, or "
            "~/.local/state/geospot/checkpoints.",
            file_okay=False,
        ),
    ] = None,
    api_key_env: Annotated[
        str | None,
        typer.Option(help="NAME of the environment variable with the key that clients must send."),
    ] = None,
    public_url: Annotated[
        str | None,
        typer.Option(
            help="Address under which clients reach this server through a proxy, like "
            "https://tinker.example.org. Download links are made with it. Needs --api-key-env."
        ),
    ] = None,
) -> None:
    """Serve vision-language models for training and sampling over the Tinker protocol.

    Programs that use the tinker SDK, tinker-cookbook among them, run against it unchanged: set
    TINKER_BASE_URL to the address it prints, and TINKER_API_KEY to anything that starts with tml-.
    Checkpoints are files; a server that is started again finds them.

    \b
    geospot serve --port 8123
    geospot serve --models Qwen/Qwen3-VL-2B-Instruct --device cuda
    TINKER_BASE_URL=http://127.0.0.1:8123 geospot eval --backend tinker --model tinker://…
    """
    console = stderr_console()
    run: ServerRunner = load(SERVERS, "local")
    run(
        ServeOptions(
            host=host,
            port=port,
            api_key_env=api_key_env,
            models=tuple(models or ()),
            state_dir=state_dir,
            device=device,
            public_url=public_url,
        ),
        lambda line: console.print(line, markup=False, soft_wrap=True),
    )
