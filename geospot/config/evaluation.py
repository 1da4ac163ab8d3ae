"""What `geospot eval` and `geospot predict` can be told."""

from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from geospot.prompts import DEFAULT_PROMPT

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Temperature = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("should be a number or `all`")
    return value


Limit = Annotated[Annotated[int, Field(ge=1)] | Literal["all"], BeforeValidator(_no_boolean)]


class AskConfig(BaseModel):
    """How a backend is asked; common to every command that asks one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    backend: str = Field(
        default="openai", description="Who answers; `geospot backends` lists what is installed."
    )
    model: str | None = Field(
        default=None,
        description="Model name as the server knows it; for `tinker` and `local` also a run directory "
        "(DIR@CHECKPOINT picks one) or a tinker:// path; LAT,LON for `constant`; a file for `replay`.",
    )
    base_url: str | None = Field(
        default=None,
        description="Address of an OpenAI-compatible server, /v1 included, or of a Tinker service. "
        "Default: OpenAI's own; TINKER_BASE_URL or the hosted service.",
    )
    api_key_env: str | None = Field(
        default=None,
        description="NAME of the environment variable with the key. Default: OPENAI_API_KEY, "
        "OPENROUTER_API_KEY or TINKER_API_KEY for those hosts, no key for any other.",
    )
    prompt: str = Field(
        default=DEFAULT_PROMPT,
        description="five-lines, coordinates, json or reasoned; a text file; or the question itself.",
    )
    system_prompt: str | None = Field(default=None, description="Text sent as the system message.")
    renderer: str | None = Field(
        default=None,
        description="Chat format of `tinker` and `local`. Default: the run's, or what the model's "
        "name says.",
    )
    max_image_size: Annotated[int, Field(ge=16)] | None = Field(
        default=2048,
        description="Longest side in pixels; larger images shrink, others go out as they are.",
    )
    max_tokens: int = Field(
        default=4096,
        ge=1,
        le=10_000_000,
        description="Token limit of an answer, thinking included; one that it ends before its coordinates "
        "is a failure.",
    )
    temperature: Temperature | Literal["none"] = Field(
        default=0.0, description="Sampling temperature; `none` leaves it to the server."
    )
    extra_body: dict[str, Any] = Field(
        default_factory=dict[str, Any],
        description="JSON object merged into every request: '{\"top_p\": 0.9}'.",
    )
    timeout: Positive = Field(default=120.0, description="Seconds one request may take.")
    max_retries: int = Field(
        default=6,
        ge=0,
        description="Tries after a server or network fault; rate limits don't count.",
    )

    @field_validator("base_url")
    @classmethod
    def _check_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if "@" in value or parts.query:  # before a message shows it
            raise ValueError("put the key into an environment variable, not into the address")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(
                f"{value!r} is no http address; write it like http://127.0.0.1:8000/v1"
            )
        return value.rstrip("/")

    @property
    def temperature_or_none(self) -> float | None:
        """The temperature, None where the server decides."""
        return None if self.temperature == "none" else self.temperature


class EvalConfig(AskConfig):
    """Everything `geospot eval` can be told, by option or by TOML."""

    dataset: str = Field(
        default="world",
        description="Folder, file, hub id or `world`; docs/data.md shows every form.",
    )
    split: str = Field(default="test", description="Split of the data set.")
    columns: list[str] = Field(
        default_factory=list[str],
        description="Where a column isn't found: lat=…, lon=…, image=…, id=…. Repeatable.",
    )
    limit: Limit = Field(
        default=1000, description="How many images, or `all`. Which ones depends on --seed alone."
    )
    seed: int = Field(
        default=0,
        description="Seed of the selection, and of what `local`, `tinker` and `prior` draw.",
    )
    samples: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Answers an image; the score is their mean, with its spread.",
    )
    concurrency: int = Field(
        default=64,
        ge=1,
        le=4096,
        description="Most requests at once; fewer while the server can't keep up.",
    )
    engine: Literal["process", "ray"] = Field(
        default="process",
        description="Who asks: this process, or several workers on a Ray cluster (extra `ray`).",
    )
    workers: int = Field(
        default=2,
        ge=1,
        le=1024,
        description="Workers of --engine ray; they share concurrency, rpm and tpm evenly.",
    )
    ray_address: str | None = Field(
        default=None,
        description="Ray cluster that this machine belongs to: auto, or HOST:PORT. Default: one is started "
        "on this machine. Keys are read from the environment of its machines.",
    )
    rpm: Positive | None = Field(default=None, description="Most requests a minute.")
    tpm: Positive | None = Field(default=None, description="Most tokens a minute, in and out.")
    price_in: Price | None = Field(default=None, description="USD per million input tokens.")
    price_out: Price | None = Field(default=None, description="USD per million output tokens.")
    max_cost: Positive | None = Field(
        default=None, description="USD after which nothing more is asked; needs both prices."
    )
    canary: bool = Field(
        default=True,
        description="First send two images with a number to read: are images seen at all?",
    )
    out: Path | None = Field(
        default=None, description="Result directory. Default: results/BACKEND-MODEL-FINGERPRINT."
    )
    resume: bool = Field(
        default=True, description="Go on where the directory stands; --no-resume sets it aside."
    )
    dry_run: bool = Field(
        default=False, description="Say how many images, tokens, dollars and minutes; ask nothing."
    )

    @model_validator(mode="after")
    def _cost_needs_prices(self) -> "EvalConfig":
        if self.max_cost is not None and (self.price_in is None or self.price_out is None):
            raise ValueError("max-cost needs price-in and price-out to know what has been spent")
        return self

    @model_validator(mode="after")
    def _address_needs_ray(self) -> "EvalConfig":
        if self.ray_address is not None and self.engine != "ray":
            raise ValueError("ray-address goes with engine ray")
        if "://" in (self.ray_address or ""):
            raise ValueError(
                "ray-address is auto or HOST:PORT of a cluster that this machine belongs to; through ray:// "
                "(Ray Client) answers can't be handed over as they come. Run the command on one of the "
                "cluster's machines, over SSH or by `ray job submit`"
            )
        return self

    @property
    def limit_or_none(self) -> int | None:
        """The limit as a number, None for all."""
        return None if self.limit == "all" else self.limit

    def cost_usd(self, input_tokens: float, output_tokens: float) -> float | None:
        """Dollars for so many tokens, None where a price isn't known."""
        if self.price_in is None or self.price_out is None:
            return None
        return (input_tokens * self.price_in + output_tokens * self.price_out) / 1e6


class ScoreConfig(BaseModel):
    """Everything `geospot score` can be told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: Path = Field(
        description="CSV, TSV or JSON Lines: id, and text or latitude and longitude."
    )
    model: str | None = Field(
        default=None, description="Name on the leaderboard. Default: the file's name."
    )
    dataset: str | None = Field(
        default=None,
        description="Hold the answers against this data set: a selected id that the file lacks is a "
        "failure. Without it the file must hold true_latitude and true_longitude, and the result is "
        "marked self-selected.",
    )
    split: str = Field(default="test", description="Split of the data set.")
    columns: list[str] = Field(
        default_factory=list[str],
        description="Where a column of the data set isn't found: lat=…, lon=…, id=…. Repeatable.",
    )
    limit: Limit = Field(
        default="all", description="Which selection was asked: its --limit, or `all`."
    )
    seed: int = Field(default=0, description="Which selection was asked: its --seed.")
    out: Path | None = Field(
        default=None, description="Result directory. Default: results/score-MODEL-FINGERPRINT."
    )

    @property
    def limit_or_none(self) -> int | None:
        """The limit as a number, None for all."""
        return None if self.limit == "all" else self.limit
