"""What is kept of a step for people: the text of each token, and why rollouts were lost."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from geospot.config.learning import RLConfig
from geospot.data import GeoSample
from geospot.learning.costs import TokenCounts
from geospot.renderers import Tokenizer
from geospot.rl.batch import make_batch
from geospot.rl.journal import Journal
from geospot.rl.pipeline import Sampled
from geospot.rl.records import TokenPieces
from geospot.rl.report import StepReport
from geospot.rl.rollouts import PreparedGroup, SamplingLog
from geospot.rl.types import REPLAYED, RolloutFailure, TrajectoryGroup
from geospot.runs.directory import RunDirectory
from tests.support.geo_rollouts import NoBuilder, group_of, located
from tests.support.tiny_chat import tiny_tokenizer

SPOT = GeoSample("spot", 0.0, 10.0, "spot")


class Counting:
    """The tiny model's tokenizer; counts what it is asked to decode."""

    def __init__(self) -> None:
        self.real = tiny_tokenizer()
        self.asked: Counter[int] = Counter()

    @property
    def backend_tokenizer(self) -> Any:
        return self.real.backend_tokenizer

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        return self.real.encode(text, add_special_tokens=add_special_tokens)

    def decode(self, token_ids: list[int]) -> Any:
        self.asked.update(token_ids)
        return self.real.decode(token_ids)


def test_pieces_are_the_text_of_each_token_and_decoded_once() -> None:
    tokenizer = Counting()
    pieces = TokenPieces(tokenizer)
    text = "Latitude: 48.8566\nLongitude: 2.3522"
    tokens = tokenizer.encode(text, add_special_tokens=False)

    first, again = pieces.of(tokens), pieces.of(tokens * 3)

    assert len(first) == len(tokens)
    assert "".join(first) == text
    assert again == first * 3
    assert set(tokenizer.asked.values()) == {1}


def lost_group(errors: Sequence[str]) -> TrajectoryGroup:
    failures = [RolloutFailure(index, error) for index, error in enumerate(errors)]
    return TrajectoryGroup(NoBuilder("gone"), [], failures, 0)


def a_step(tokenizer: Tokenizer, folder: Path, sampled: Sampled, **settings: Any) -> None:
    """A step as a run writes it down."""
    config = RLConfig(log_path=folder, **settings)
    run = RunDirectory.open(folder, {}, kind="rl", if_exists="raise", ask=None)
    journal = Journal(
        run,
        config,
        tokenizer=tokenizer,
        tau_km=lambda _: (25.0,),
        replay=None,
        counts=TokenCounts(),
        tell=lambda _step, _row: None,
        warn=lambda _: None,
    )
    batch = make_batch(sampled.groups, min_range=0.0)
    asyncio.run(journal.rollouts(0, sampled, batch))
    journal.step(StepReport(0, 1, sampled, batch, [], 1e-3, {}, {}, 0, 0.0, 0.0, 0.0))
    run.close("finished")


def prepared(group: TrajectoryGroup, error: str | None = None) -> PreparedGroup:
    return PreparedGroup(group.builder, [], [], error)


def test_why_photos_and_rollouts_were_lost_is_told_once_each(tmp_path: Path) -> None:
    fine = group_of(SPOT, [located(1.0, 10.0), located(2.0, 10.0)])
    late = lost_group(["no answer within 600 s"] * 2)
    mixed = lost_group(["no answer within 600 s", "the prompt is too long"])
    gone = lost_group(["gone.jpg isn't there."] * 2)
    groups = [fine, late, mixed, gone]
    marked = [*map(prepared, groups[:3]), prepared(gone, "gone.jpg isn't there.")]

    a_step(tiny_tokenizer(), tmp_path / "run", Sampled(marked, groups, SamplingLog(), 0.0))

    lines = (tmp_path / "run" / "logs.log").read_text().splitlines()
    assert [line.partition(" ")[2] for line in lines if "lost" in line] == [
        "WARNING Step 0: 1 photo lost: gone.jpg isn't there.",
        "WARNING Step 0: 3 rollouts lost: no answer within 600 s",
        "WARNING Step 0: 1 rollout lost: the prompt is too long",
    ]
    row = json.loads((tmp_path / "run" / "metrics.jsonl").read_text())
    assert (row["rollouts/lost"], row["rollouts/returned"]) == (6, 2)


def test_what_histograms_leave_out_can_be_told_among_the_rollouts(tmp_path: Path) -> None:
    """Photos that are shown again because they are hard say nothing of all photos."""
    texts = [located(1.0, 10.0), located(2.0, 10.0)]
    groups = [group_of(SPOT, texts), group_of(SPOT, texts, tags=(REPLAYED,))]
    sampled = Sampled([*map(prepared, groups)], groups, SamplingLog(), 0.0)

    a_step(tiny_tokenizer(), tmp_path / "run", sampled)

    lines = (tmp_path / "run" / "rollouts.jsonl").read_text().splitlines()
    assert [json.loads(line)["replayed"] for line in lines] == [False, False, True, True]
    counted = json.loads((tmp_path / "run" / "histograms.jsonl").read_text().splitlines()[-1])
    assert counted["n"] == 2


def test_reasons_without_end_are_cut_short(tmp_path: Path) -> None:
    fine = group_of(SPOT, [located(1.0, 10.0)])
    strange = lost_group([f"fault {number}" for number in range(25)])
    sampled = Sampled([prepared(fine), prepared(strange)], [fine, strange], SamplingLog(), 0.0)

    a_step(tiny_tokenizer(), tmp_path / "run", sampled)

    lines = (tmp_path / "run" / "logs.log").read_text().splitlines()
    told = [line for line in lines if "WARNING" in line]
    assert len(told) == 11
    assert told[-1].endswith("And 15 further reasons.")
