"""Settings written as TOML, as `--config` reads them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geospot.durable import replace_bytes
from geospot.errors import UsageError


def toml_text(settings: Mapping[str, Any], heading: str = "") -> str:
    """The settings as TOML, in their order.

    Args:
        heading: a comment above them; a line.

    Raises:
        UsageError: a setting that is nothing, which TOML has no word for, or text that is no Unicode.
    """
    import tomli_w

    for name, value in settings.items():
        if value is None:
            raise UsageError(
                f"{name}=none can't stand in a TOML file, which has no word for nothing.",
                f"Leave it out there, and add {name}=none to the command.",
            )
    plain = {k: str(v) if isinstance(v, Path) else v for k, v in settings.items()}
    try:
        text = tomli_w.dumps(plain)
    except TypeError as error:  # null within extra_body
        raise UsageError(f"The settings can't be written as TOML: {error}.") from error
    return f"# {heading}\n{text}" if heading else text


def save_toml(path: Path, settings: Mapping[str, Any], heading: str = "") -> None:
    """Writes the settings to a file; one that is there is replaced.

    Raises:
        UsageError: what can't be written as TOML.
        WriteError: what the disk doesn't take.
    """
    try:
        data = toml_text(settings, heading).encode()
    except UnicodeEncodeError as error:
        raise UsageError("A setting holds bytes that are no text.", "Type it again.") from error
    replace_bytes(path, data)
