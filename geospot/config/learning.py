"""What `geospot sft` and `geospot rl` can be told: one model a command.

Names and defaults are those of the first geospot's commands and of tinker-cookbook, so that their
command lines go on working. A field's `unit` stands in its `json_schema_extra`, and `--help` shows it.
"""

from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from geospot.config.evaluation import Limit, Positive, Price

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
IfExists = Literal["ask", "resume", "delete", "raise"]
Schedule = Literal["cosine", "linear", "constant"]
Tracker = Literal["wandb", "trackio", "tensorboard"]
KLReference = Literal["start", "base"]

WORLD: Final = "world"
"""The data set of the procedural world, drawn as large as is asked for."""
WORLD_PHOTOS: Final = 10_000
"""Of so many it is trained unless a number is said."""


def _setting(default: Any, description: str, unit: str = "") -> Any:
    return Field(default=default, description=description, json_schema_extra={"unit": unit})


class LearnConfig(BaseModel):
    """What both training commands share. None means: as fits the model (`geospot.config.recipes`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Whom to train, and where.
    service: str = _setting(
        "tinker", "Who computes: `tinker` (hosted), `local` (embedded), or a URL."
    )
    api_key_env: str | None = _setting(
        None,
        "NAME of the environment variable with the service's key. Default: TINKER_API_KEY for the hosted "
        "service and TINKER_BASE_URL, no key for any other.",
    )
    model_name: str | None = _setting(
        None,
        "Base model. Default: the latest open Qwen vision model of the service; with "
        "service=local geospot/tiny-vlm-scratch, the tiny model with random weights.",
    )
    load_checkpoint_path: str | None = _setting(
        None,
        "Weights to start from: a run directory (DIR@NAME picks a checkpoint) or a tinker:// path. "
        "The optimiser starts anew.",
    )
    lora_rank: Annotated[int, Field(ge=0, le=512)] | None = _setting(
        None, "Rank of the LoRA adapter; 0 trains all weights, where the service can."
    )
    train_attn: bool = _setting(True, "LoRA on the layers of attention.")
    train_mlp: bool = _setting(True, "LoRA on the layers of MLPs.")
    train_unembed: bool = _setting(
        True,
        "LoRA on the output layer. vLLM refuses such an adapter of Qwen2-VL and Qwen2.5-VL: false "
        "there.",
    )
    renderer_name: str | None = _setting(None, "Chat format. Default: what the model's name says.")
    prompt: str | None = _setting(
        None,
        "five-lines, coordinates, json or reasoned; a text file; or the question itself.",
    )
    system_prompt: str | None = _setting(None, "Text sent as the system message.")
    max_image_size: Annotated[int, Field(ge=16)] | None = _setting(
        512, "Longest side; larger images shrink.", "pixels"
    )
    max_tokens: Count | None = _setting(None, "Limit of an answer.", "tokens")

    # Which photos.
    hf_repo: str = _setting(
        "osv5m/osv5m", "Data set: a hub id, a folder or file (docs/data.md), or `world`."
    )
    split: str = _setting("train", "Split that is trained on.")
    columns: list[str] = Field(
        default_factory=list[str],
        description="Where a column isn't found: lat=…, lon=…, image=…, id=…, comma-separated.",
        json_schema_extra={"unit": ""},
    )
    max_samples: Count | None = _setting(
        None, "Distinct photos, after selection. Default: all; `world`: 10,000.", "photos"
    )
    num_epochs: Count = _setting(1, "Times that each photo is seen.")
    max_steps: Count | None = _setting(None, "Fewer steps than photos and epochs give.", "steps")
    batch_size: Count = _setting(8, "Photos a step.", "photos")
    balance_by_country: bool = _setting(
        False, "Draw countries evenly instead of as often as they occur."
    )
    seed: int = _setting(0, "Of selection, order, sampling, and of weights that begin random.")

    # How the weights move.
    learning_rate: Positive | None = _setting(None, "Peak of the schedule.")
    lr_schedule: Schedule | None = _setting(
        None, "How the rate falls over the run: cosine, linear or constant."
    )
    warmup_steps: Annotated[int, Field(ge=0)] | None = _setting(
        None, "Steps over which the rate rises.", "steps"
    )
    weight_decay: NotNegative | None = _setting(None, "AdamW's, decoupled.")
    adam_beta1: Share = _setting(0.9, "AdamW's first moment.")
    adam_beta2: Share = _setting(0.95, "AdamW's second moment.")
    adam_eps: Positive = _setting(1e-8, "AdamW's epsilon.")
    grad_clip_norm: NotNegative = _setting(1.0, "Largest norm of a gradient; 0 doesn't clip.")

    # The run.
    log_path: Path = _setting(Path("runs/run"), "Run directory.")
    behavior_if_log_dir_exists: IfExists = _setting(
        "ask", "ask, resume, delete (it is set aside, not destroyed) or raise."
    )
    save_every: Count = _setting(20, "A checkpoint to go on from.", "steps")
    keep_checkpoints: Count = _setting(
        3, "Newest checkpoints kept; the final one and those of evaluations stay.", "checkpoints"
    )
    ttl_days: Positive | None = _setting(
        30.0, "How long the service keeps checkpoints that aren't final.", "days"
    )
    eval_every: Annotated[int, Field(ge=0)] = _setting(
        50,
        "An evaluation; 0 for none. One comes before the first step and one after the last.",
        "steps",
    )
    eval_hf_repo: str | None = _setting(None, "Data set of evaluations. Default: hf_repo.")
    eval_split: str = _setting("test", "Split of evaluations.")
    eval_limit: Limit = _setting(200, "Photos of an evaluation, or `all`.", "photos")
    thumbnails_mb: NotNegative = _setting(
        64.0, "Room for small copies of the photos of rollouts; the newest are kept.", "MB"
    )
    trackers: list[Tracker] = Field(
        default_factory=list[Tracker],
        description="Also report to wandb, trackio, tensorboard; comma-separated.",
        json_schema_extra={"unit": ""},
    )
    project: str = _setting("geospot", "Name under which trackers file the run.")
    price_prefill: Price | None = _setting(None, "USD per million prompt tokens.", "USD")
    price_cached_prefill: Price | None = _setting(
        None,
        "USD per million prompt tokens read from the cache. Default: price_prefill.",
        "USD",
    )
    price_sample: Price | None = _setting(None, "USD per million sampled tokens.", "USD")
    price_train: Price | None = _setting(None, "USD per million trained tokens.", "USD")

    # Faults.
    max_retries: Annotated[int, Field(ge=0)] = _setting(
        4, "Tries after a fault of service or network, with growing pauses.", "tries"
    )
    check_photos: bool = _setting(
        True,
        "Before the first step, see whether another photo changes what the model says: a service that "
        "drops photos would train it blindly.",
    )

    @model_validator(mode="after")
    def _some_layers(self) -> Self:
        if not (self.train_attn or self.train_mlp or self.train_unembed):
            raise ValueError("train_attn, train_mlp and train_unembed are all false")
        return self

    @property
    def wanted_photos(self) -> int | None:
        """Distinct photos that are trained on, where the data set has them; None for all of it."""
        if self.max_samples is None and self.hf_repo == WORLD:
            return WORLD_PHOTOS
        return self.max_samples

    @property
    def fresh_photos(self) -> int:
        """Photos of a step that come in their order: each of them once an epoch."""
        return self.batch_size

    def steps_on(self, photos: int) -> int:
        """Steps of a training on so many distinct photos: until each was seen `num_epochs` times."""
        needed = -(-photos * self.num_epochs // self.fresh_photos)
        return needed if self.max_steps is None else min(needed, self.max_steps)


class SFTConfig(LearnConfig):
    """Everything `geospot sft` can be told."""

    log_path: Path = _setting(Path("runs/sft"), "Run directory.")
    test_size: Annotated[int, Field(ge=0)] = _setting(
        64,
        "Photos of the training split held out for the test NLL; one in ten at most where it has no others.",
        "photos",
    )
    nll_every: Count = _setting(20, "A test NLL on the held-out photos.", "steps")


class RLConfig(LearnConfig):
    """Everything `geospot rl` can be told."""

    log_path: Path = _setting(Path("runs/rl"), "Run directory.")
    batch_size: Count = _setting(16, "Groups a step, one photo each.", "photos")
    replay_hard: Annotated[float, Field(ge=0, le=0.5)] = _setting(
        0.0,
        "Share of a step's photos, at most 0.5, that are shown again because they were answered badly.",
    )

    # Rollouts.
    env: Literal["geo", "telescoping"] = _setting(
        "geo",
        "geo: one answer. telescoping: a rough guess, a better one and the final one, each rewarded "
        "for what it gains; the first has tau_start.",
    )
    group_size: Annotated[int, Field(ge=2)] = _setting(
        4, "Answers sampled for a photo.", "rollouts"
    )
    temperature: Positive = _setting(
        1.0, "Sampling temperature; at any other than 1 the gradient is biased."
    )
    rollout_timeout: Positive = _setting(
        600.0, "How long one call for a group's answers may take; max_retries others follow.", "s"
    )
    min_rollouts: Share = _setting(
        0.5, "The run stops at a step with a smaller share of its rollouts."
    )
    max_steps_off_policy: Annotated[int, Field(ge=0)] = _setting(
        0, "How old weights may be that are sampled, so that sampling needn't wait.", "steps"
    )

    # Reward: exp(-distance / tau), and names of places.
    coord_tau: list[Positive] = Field(
        default=[25.0],
        description="Distance at which the reward is 1/e; several, comma-separated, are averaged.",
        json_schema_extra={"unit": "km"},
    )
    tau_schedule: Literal["constant", "geometric", "adaptive"] = _setting(
        "constant",
        "constant: coord_tau. geometric: tau falls from tau_start to coord_tau as the run goes on. "
        "adaptive: it follows the median error between the two.",
    )
    tau_start: Positive = _setting(2000.0, "First tau of these schedules.", "km")
    coord_coef: NotNegative = _setting(1.0, "Weight of the distance in the reward.")
    city_coef: NotNegative = _setting(0.0, "Weight of the right city.")
    region_coef: NotNegative = _setting(0.0, "Weight of the right region.")
    country_coef: NotNegative = _setting(0.0, "Weight of the right country.")
    format_coef: Positive = _setting(0.1, "What any failure costs: its reward is minus this.")

    # Policy gradient.
    loss_fn: Literal["importance_sampling", "ppo", "cispo"] = _setting(
        "importance_sampling",
        "Policy gradient: importance_sampling; or ppo or cispo, which bound how much an answer counts "
        "that has become likelier since it was sampled.",
    )
    clip_low: NotNegative | None = _setting(
        None, "Ratio below which ppo and cispo clip. Default: the service's."
    )
    clip_high: NotNegative | None = _setting(
        None, "Ratio above which they clip. Default: the service's."
    )
    num_substeps: Count = _setting(1, "Optimiser steps that a batch is split into.", "steps")
    normalize_advantages: bool = _setting(
        False, "Divide a group's advantages by their standard deviation."
    )
    min_group_range: NotNegative = _setting(
        1e-4, "Groups whose rewards lie closer together give no gradient."
    )
    kl_penalty_coef: NotNegative = _setting(
        0.0, "Weight of the divergence from kl_reference, in nats an answer, taken off the reward."
    )
    kl_reference: KLReference = _setting(
        "start", "start: the weights that the run started from. base: the base model."
    )
    rollouts_every: Count = _setting(1, "Steps between those whose rollouts are written.", "steps")

    @model_validator(mode="after")
    def _some_reward(self) -> Self:
        if self.coord_coef + self.city_coef + self.region_coef + self.country_coef <= 0:
            raise ValueError("all reward weights are 0; nothing would be learned")
        if self.batch_size < self.num_substeps:
            raise ValueError("num_substeps is larger than batch_size, so some would be empty")
        if self.replay_hard and not self.replayed_photos:
            raise ValueError(
                f"replay_hard={self.replay_hard:g} of {self.batch_size} photos isn't one photo"
            )
        return self

    @property
    def replayed_photos(self) -> int:
        """How many photos of a step may be shown again."""
        return round(self.replay_hard * self.batch_size)

    @property
    def fresh_photos(self) -> int:
        """Those that aren't shown again."""
        return self.batch_size - self.replayed_photos
