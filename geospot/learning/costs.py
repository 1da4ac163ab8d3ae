"""What a run has used: tokens of each price, and with prices the dollars."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self, cast

from geospot.config.learning import LearnConfig


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens by what they are billed as; images count with the tokens that they take.

    `prefill`: prompts, once a sample call. `cached_prefill`: the prompts of a call's other samples.
    `sample`: what the model wrote. `train`: positions of training batches.
    """

    prefill: int = 0
    cached_prefill: int = 0
    sample: int = 0
    train: int = 0

    def __add__(self, other: "TokenCounts") -> "TokenCounts":
        """Both together."""
        return TokenCounts(
            self.prefill + other.prefill,
            self.cached_prefill + other.cached_prefill,
            self.sample + other.sample,
            self.train + other.train,
        )

    def to_json(self) -> dict[str, int]:
        """A plain dictionary; `of` reads it."""
        return asdict(self)

    @classmethod
    def of(cls, row: Any) -> Self:
        """The counts that a checkpoint's row holds; zeros where it holds none."""
        found: Mapping[str, Any] = cast(dict[str, Any], row) if isinstance(row, dict) else {}
        return cls(**{name: int(found.get(name, 0)) for name in cls.__dataclass_fields__})


@dataclass(frozen=True, slots=True)
class Prices:
    """USD per million tokens; None where nobody said."""

    prefill: float | None = None
    cached_prefill: float | None = None
    sample: float | None = None
    train: float | None = None

    @classmethod
    def of(cls, config: LearnConfig) -> Self:
        """Those of the configuration. Where only `prefill` is known, the cache costs the same."""
        cached = config.price_cached_prefill
        return cls(
            prefill=config.price_prefill,
            cached_prefill=config.price_prefill if cached is None else cached,
            sample=config.price_sample,
            train=config.price_train,
        )

    def usd(self, counts: TokenCounts) -> float | None:
        """What the counts cost; None unless every kind that was used has a price."""
        price_of, total = asdict(self), 0.0
        for kind, count in counts.to_json().items():
            price: float | None = price_of[kind]
            if count and price is None:
                return None
            total += count * (price or 0.0) / 1e6
        return total


def cost_figures(counts: TokenCounts, prices: Prices) -> dict[str, float]:
    """Metrics of what was used since the run began: `tokens/<kind>` and, with prices, `cost/usd`."""
    figures: dict[str, float] = {f"tokens/{kind}": n for kind, n in counts.to_json().items() if n}
    usd = prices.usd(counts)
    if usd:
        figures["cost/usd"] = usd
    return figures
