"""docs/settings.md: every setting with its default, made from the models that the commands read.

`python -m tests.support.settings_page` writes the page again; a test compares it with what it should be.
"""

import sys
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from geospot.config.evaluation import EvalConfig, ScoreConfig
from geospot.config.learning import LearnConfig, RLConfig, SFTConfig
from geospot.config.recipes import TINY_MODEL, Kind, recipe
from geospot.config.text import setting_text, unit_of

PAGE: Final = Path(__file__).parents[2] / "docs" / "settings.md"

# Why a default is what it is. A setting without a line here is a choice of the person (a name, a path, a
# data set), a bound that is off, or 0 and false because it is an extra.
REASONS: Final = {
    "service": "the hosted service, as in tinker-cookbook; `local` needs no key",
    "lora_rank": "the first geospot's; the tiny model is small enough to train all of it",
    "train_attn": "all layers, as tinker-cookbook has it",
    "train_mlp": "all layers, as tinker-cookbook has it",
    "train_unembed": "all layers, as tinker-cookbook has it",
    "max_image_size": "a photo's tokens grow with its area; not tuned for accuracy",
    "max_tokens": "five lines have some 40 tokens; an answer that is cut before its coordinates is a failure",
    "prompt": "coordinates with the names of the place; the tiny model has a short question, since a "
    "long one costs it more than the photo",
    "num_epochs": "photos that were never trained on tell more than a second look at the same: a rule of "
    "thumb, not measured here",
    "batch_size": "the first geospot's; on the tiny model SFT with 16 did as well as with 32 at equal cost",
    "learning_rate": "the first geospot's for LoRA. Tiny, SFT: 1.5e-3 and 6e-3 were worse; GRPO: 2e-4 moved "
    "too little, 1e-3 cost greedy accuracy (one or two seeds each)",
    "lr_schedule": "half a cosine for SFT and a line for RL are common; not measured against each other",
    "warmup_steps": "AdamW's second moment needs some steps; not tuned",
    "weight_decay": "none on an adapter, as the SDK has it; some where the tiny SFT trains all weights. "
    "Not measured",
    "adam_beta1": "the SDK's",
    "adam_beta2": "the SDK's; its average spans 20 steps instead of the 1,000 of 0.999",
    "adam_eps": "AdamW's usual one; the SDK's is 1e-12",
    "grad_clip_norm": "bounds one bad batch; `optim/grad_norm` shows the norm before it. 1 is usual, "
    "not measured",
    "behavior_if_log_dir_exists": "nothing is overwritten without a word",
    "save_every": "a kill costs 20 steps at most",
    "keep_checkpoints": "one may turn out spoiled, so there are some before it: judgement",
    "ttl_days": "a month is time enough to go on or to export; `final` stays",
    "eval_every": "not tuned: with the defaults of RL and 5,000 photos eight evaluations",
    "eval_limit": "200 photos: an interval of some ±220 GeoScore points, for a trend and not for a table",
    "thumbnails_mb": "some 3,500 photos",
    "check_photos": "three readings of an example, nine before a run is refused, against a training that "
    "was blind all along",
    "max_retries": "a fault that outlasts four growing pauses isn't a passing one: judgement",
    "test_size": "a mean over 64 answers, for a curve: judgement",
    "nll_every": "as often as checkpoints",
    "group_size": "the first geospot's; 8 for the tiny model, which is wrong more often. Not measured "
    "against 4",
    "temperature": "at any other the gradient is biased",
    "rollout_timeout": "a service that loads a model may take minutes",
    "min_rollouts": "below half of a step something is wrong with the service: judgement",
    "max_steps_off_policy": "on-policy, so that ratios are 1 but for rounding",
    "coord_tau": "the first geospot's: it pays for the right city. Take more where the model is far off",
    "tau_start": "the scale of a continent; not measured against others",
    "coord_coef": "the reward is the distance; names are extras",
    "format_coef": "below every answer, also one on the other side of the globe",
    "loss_fn": "unbiased on-policy; where rollouts are old take ppo or cispo",
    "min_group_range": "rewards that are equal but for rounding teach noise",
    "kl_reference": "SFT's answers are what training starts from, and has to stay near",
    "rollouts_every": "every answer can be looked at; some 3 kB each",
    "limit": "an interval of about ±100 GeoScore points for a few dollars",
    "samples": "one greedy answer",
    "concurrency": "halved by itself while the server can't keep up",
    "canary": "a server that drops images is found before a thousand photos are spent",
    "resume": "the same command goes on",
    "timeout": "a thinking model takes its time",
    "engine": "one process asks more than nearly any server answers",
    "workers": "the fewest that are several",
}
# Where a command has another reason than its sister has.
_OTHERS: Final[dict[tuple[type[BaseModel], str], str]] = {
    (EvalConfig, "max_image_size"): "about what hosted models shrink a photo to themselves",
    (EvalConfig, "max_tokens"): "room to think",
    (
        EvalConfig,
        "temperature",
    ): "the likeliest answer, the same each time as far as the server keeps to it",
    (EvalConfig, "max_retries"): "pauses of 0.5, 1, 2, … s: about half a minute",
    (EvalConfig, "prompt"): "coordinates with the names of the place",
    (ScoreConfig, "limit"): "a finished file usually answers all",
    (EvalConfig, "dataset"): "needs no download",
}
_BY_COMMAND: Final = ("batch_size", "log_path")
_HEADING: Final = """# Settings

Every setting of `geospot sft`, `rl`, `eval` and `score` with its default and, where there is something to
say, the reason for it. `python -m tests.support.settings_page` makes the page from the program's own models;
a test fails where it isn't what they say. [training.md](training.md) says how the settings work together.

Measured are only the reasons that say what did better or worse. The others are conventions, arithmetic or
judgement; none of the defaults for hosted models has been measured against another.

`–` is nothing. A default with `tiny:` is another for `geospot/tiny-vlm` and `geospot/tiny-vlm-scratch`.
"""
_SECTIONS: Final[tuple[tuple[str, str, type[BaseModel], Kind | None], ...]] = (
    ("SFT and RL", "Common to both commands; written as `KEY=VALUE`.", LearnConfig, None),
    ("SFT alone", "`geospot sft`.", SFTConfig, "sft"),
    ("RL alone", "`geospot rl`.", RLConfig, "rl"),
    ("Evaluation", "`geospot eval`; written as `--some-setting VALUE`.", EvalConfig, None),
    (
        "Finished files",
        "`geospot score`; the file itself is the first argument.",
        ScoreConfig,
        None,
    ),
)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _value(value: Any) -> str:
    text = "–" if value is None or value == [] or value == {} else setting_text(value)
    return text if text == "–" else f"`{text}`"


def _default(name: str, field: FieldInfo, kinds: tuple[Kind, ...]) -> str:
    if field.is_required():
        return "(has to be said)"
    shown: dict[str, None] = {}
    for kind in kinds:
        plain, tiny = recipe(kind, "any other"), recipe(kind, TINY_MODEL)
        value = plain.get(name, field.get_default(call_default_factory=True))
        other = tiny.get(name, value)
        parts = _value(value) + ("" if other == value else f", tiny: {_value(other)}")
        shown[parts] = None
    if not kinds:
        return _value(field.get_default(call_default_factory=True))
    if len(shown) == 1:
        return next(iter(shown))
    return "; ".join(f"{kind}: {text}" for kind, text in zip(kinds, shown, strict=True))


def _rows(model: type[BaseModel], kind: Kind | None) -> list[str]:
    learned = issubclass(model, LearnConfig)
    kinds: tuple[Kind, ...] = () if not learned else ((kind,) if kind else ("sft", "rl"))
    rows: list[str] = []
    for name, field in model.model_fields.items():
        if (model is LearnConfig and name in _BY_COMMAND) or (kind and not _own(name)):
            continue
        reason = _OTHERS.get((model, name), REASONS.get(name, ""))
        unit = unit_of(field)
        said = _cell(field.description or "") + (f" ({unit})" if unit and unit != "USD" else "")
        rows.append(f"| `{name}` | {_default(name, field, kinds)} | {said} | {_cell(reason)} |")
    return rows


def _own(name: str) -> bool:
    """Whether the command's section has to have it: its own settings, and where its default is another."""
    return name not in LearnConfig.model_fields or name in _BY_COMMAND


def page() -> str:
    """The page's text."""
    parts = [_HEADING]
    for title, lead, model, kind in _SECTIONS:
        rows = "\n".join(_rows(model, kind))
        parts.append(
            f"\n## {title}\n\n{lead}\n\n| setting | default | what | why this default |\n"
            f"| --- | --- | --- | --- |\n{rows}\n"
        )
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")
