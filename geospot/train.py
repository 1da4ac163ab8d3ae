"""Reinforcement learning: GRPO with a reward that falls with distance."""

from collections.abc import Mapping
from typing import Any, Final

from geospot.config.learning import RLConfig
from geospot.data.progress import Progress, silent
from geospot.errors import DivergedError, GeospotError
from geospot.learning.costs import TokenCounts
from geospot.learning.display import Draw, Forms, RunView, SilentView, shown
from geospot.learning.evaluation import RunEvaluator
from geospot.learning.keeping import CheckpointKeeper
from geospot.learning.session import Finished, Session, open_session
from geospot.learning.sight import refuse_blind
from geospot.rl.geo_dataset import GeoDatasetBuilder, GeoRLDataset
from geospot.rl.grpo import GRPO, unbounded_ratios
from geospot.rl.journal import Journal
from geospot.rl.tau import weak_signal
from geospot.runs.layout import METRICS, PHOTOS
from geospot.runs.opening import Ask
from geospot.runs.tail import is_number, read_rows, step_of


async def run(
    config: RLConfig,
    view: RunView | None = None,
    *,
    ask: Ask | None = None,
    progress: Progress = silent,
) -> Finished:
    """Trains a model by the distance of its answers, or goes on with a run that was interrupted.

    Args:
        config: what to train on what.
        view: told what is going on.
        ask: puts a question to the person at the terminal; None where there is none.
        progress: told of long work on the data set.

    Raises:
        GeospotError: the run can't be done as asked, or has to end before its time.
    """
    view = view or SilentView()
    async with open_session(config, "rl", view, ask) as session:
        trainer = session.trainer
        build = GeoDatasetBuilder(
            session.config, trainer.renderer, trainer.prompt, trainer.max_image_size
        )
        dataset = await build(progress)
        try:
            session.refuse_other_data(dataset.data.fingerprint)
            await refuse_blind(session, dataset.data)
            return await _Run(session, dataset).go()
        finally:
            dataset.close()


class _Run:
    """One call of `run`, from its first step to its last."""

    def __init__(self, session: Session[RLConfig], dataset: GeoRLDataset) -> None:
        self.session = session
        self.dataset = dataset
        self.total = len(dataset)
        config, trainer, directory = session.config, session.trainer, session.directory
        self.evaluator = RunEvaluator(
            config,
            trainer,
            directory,
            total=self.total,
            tell=session.view.say,
            warn=session.view.warn,
        )
        self.keeper = CheckpointKeeper(config, trainer, directory, self.total, self._loop_state)
        self.journal = Journal(
            directory,
            config,
            tokenizer=trainer.tokenizer,
            tau_km=dataset.tau_km,
            replay=dataset.replay,
            counts=TokenCounts.of(session.kept.get("tokens")),
            tell=self._tell,
            warn=self._warn,
        )
        self.loop = GRPO(
            config,
            trainer,
            dataset,
            self.journal,
            save=lambda done: self.keeper.begin(done) if self.keeper.is_due(done) else None,
            evaluate=self.evaluator.begin,
            stop=session.stop,
            tell_phase=directory.beat,
        )
        self.figures: dict[str, float] = {}
        self.draw: Draw = lambda _done, _shown: None

    async def go(self) -> Finished:
        """All steps that are still to be done."""
        session, start = self.session, self.session.first_step
        session.directory.start(start, self.total)
        self._recall()
        session.view.say(self._opening_words(start))
        config, model_name = session.config, session.trainer.model_name
        for warning in (weak_signal(config, model_name), unbounded_ratios(config)):
            if warning is not None:
                self._warn(warning)
        await self.evaluator.rewind(start)
        try:
            with session.view.live(start, self.total) as self.draw:
                reached = await self._steps(start)
            session.stopped = reached < self.total or not await self._finish_evaluation()
        finally:
            await self.evaluator.cancel()
        return session.finished(reached, self.total, self.figures | self.evaluator.latest)

    async def _steps(self, start: int) -> int:
        """Steps from `start` on; whatever ends them, what was learned is saved."""
        try:
            done = await self.loop.run(start)
        except DivergedError as error:
            raise await self.keeper.set_aside(error, self.loop.done) from error
        except GeospotError:
            if self.loop.is_whole:
                self.session.view.say(await self.keeper.rescue(self.loop.done))
            raise
        if done < self.total:
            await self.keeper.catch_up(done)
        elif failing := self.loop.failing_steps:
            self._warn(
                f"Not one rollout of the last {failing} step{'s' if failing > 1 else ''} gave coordinates "
                "that could be read: the final weights may be worth nothing. Look at the figures before."
            )
        return done

    async def _finish_evaluation(self) -> bool:
        """Waits for the evaluation after the last step; False where it was stopped."""
        self.session.directory.beat("evaluating", self.total)
        return await self.session.stop.unless(self.evaluator.finish())

    def _recall(self) -> None:
        """What the steps before were, for a tau that follows it and for photos shown again."""
        dataset, path = self.dataset, self.session.directory.path
        for row in read_rows(path / METRICS):
            if (step := step_of(row)) is not None and is_number(row.get(_MEDIAN)):
                dataset.tau.observe(step, float(row[_MEDIAN]))
        if dataset.replay is not None:
            for row in read_rows(path / PHOTOS):
                if (step := step_of(row)) is not None:
                    dataset.replay.recall(step, row["photos"])

    def _tell(self, step: int, row: Mapping[str, float]) -> None:
        if _MEDIAN in row:
            self.dataset.tau.observe(step, row[_MEDIAN])
        self.figures = dict(row)  # a figure that this step hasn't must not be taken for one of now
        self.draw(step + 1, shown(self.figures | self.evaluator.latest, _SHOWN))

    def _warn(self, sentence: str) -> None:
        self.session.directory.log(sentence, level="WARNING")
        self.session.view.warn(sentence)

    def _loop_state(self) -> dict[str, Any]:
        """What a checkpoint's row says of the loop; the rest follows from the number of steps."""
        return {
            "tokens": self.journal.counts.to_json(),
            "fingerprint": self.dataset.data.fingerprint,
        }

    def _opening_words(self, start: int) -> str:
        config, trainer = self.session.config, self.session.trainer
        what = f"a LoRA of rank {trainer.lora_rank}" if trainer.lora_rank else "all weights"
        at = f", from step {start} on" if start else ""
        return (
            f"Training {what} of {trainer.model_name} by distance on "
            f"{len(self.dataset.data.samples):,} photos of {config.hf_repo}: {self.total} steps of "
            f"{config.batch_size} photos with {config.group_size} answers each{at}. "
            f"Run directory: {self.session.directory.path}"
        )


_MEDIAN: Final = "geo/median_km"

_SHOWN: Final[Forms] = {
    "env/all/reward/total": ("reward", "{:.3f}"),
    "geo/geoscore": ("GeoScore", "{:.0f}"),
    "geo/median_km": ("median", "{:,.0f} km"),
    "geo/answered": ("answered", "{:.0%}"),
    "reward/tau_km": ("tau", "{:,.0f} km"),
    "optim/lr": ("rate", "{:.1e}"),
    "optim/entropy": ("entropy", "{:.2f}"),
    "optim/kl_sample_train_v2": ("KL", "{:.1e}"),
    "env/all/by_group/frac_mixed": ("mixed groups", "{:.0%}"),
    "rollouts/lost": ("lost", "{:.0f}"),
    "eval/geoscore": ("eval GeoScore", "{:.0f}"),
    "eval/median_km": ("eval median", "{:,.0f} km"),
    "cost/usd": ("cost", "{:.2f} USD"),
}
