"""What is asked of a model in training, and what comes of it."""

import asyncio
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from geospot.errors import BackendError, DivergedError, GeospotError
from geospot.services.faults import FORGOTTEN, RESUME, Fault, fatal_error, fault_of
from geospot.textsafe import printable

if TYPE_CHECKING:
    import numpy as np
    import tinker
    from numpy.typing import NDArray

T = TypeVar("T")

_NOT_FINITE: Final = re.compile(r"n.t finite|\bnan\b|infinit", re.IGNORECASE)


@dataclass(frozen=True, slots=True, eq=False)
class StepOutcome:
    """What came of a batch.

    `loss_sum` is the service's: the sum over all tokens, each with the weight that its datum gives.
    `logprobs` has an array of one natural logarithm a position for each datum, in their order: of the
    target under the weights before the step. `grad_norm` is that before clipping, None where the
    service doesn't tell or no step was made.
    """

    loss_sum: float
    metrics: dict[str, float]
    logprobs: "list[NDArray[np.float32]]"
    grad_norm: float | None = None


class PendingStep:
    """A batch whose gradient and optimiser step are both under way."""

    def __init__(
        self,
        gradient: "tinker.APIFuture[tinker.ForwardBackwardOutput]",
        step: "tinker.APIFuture[tinker.OptimStepResponse]",
    ) -> None:
        self._gradient = gradient
        self._step = step

    async def result(self) -> StepOutcome:
        """What came of it, when both are done.

        Raises:
            DivergedError: loss or gradient is NaN or infinite.
            BackendError: the service failed, or refuses the batch.
        """
        computed, stepped = await asyncio.gather(
            self._gradient.coroutine(), self._step.coroutine(), return_exceptions=True
        )
        if isinstance(computed, BaseException):
            # The optimiser's complaint would only follow from it. Without one it has made a step all the
            # same: of a batch that was sent in several requests the rest has given a gradient.
            refuse(computed, "the batch", is_stepped=not isinstance(stepped, BaseException))
        if isinstance(stepped, BaseException):
            refuse(stepped, "the optimiser step")
        outcome = outcome_of(computed, stepped.metrics or {})
        norm = outcome.grad_norm
        if not math.isfinite(outcome.loss_sum) or not (norm is None or math.isfinite(norm)):
            what = f"The loss is {outcome.loss_sum:g}" + (
                f", the gradient's norm {norm:g}" if norm else ""
            )
            raise DivergedError(f"{what}: training has diverged.")
        return outcome


async def answer(future: "tinker.APIFuture[T]", what: str) -> T:
    """What a request gives.

    Args:
        what: what is asked for, to be read after "The service refuses".
    """
    try:
        return await future
    except Exception as error:  # noqa: BLE001 - sorted by `fault_of`, which raises what it doesn't know
        refuse(error, what)


async def forget(*waited: "asyncio.Future[Any]") -> None:
    """Ends what nobody will wait for, so that nothing complains later that its error was never seen."""
    for one in waited:
        one.cancel()
    await asyncio.gather(*waited, return_exceptions=True)


def refuse(error: BaseException, what: str, *, is_stepped: bool = False) -> NoReturn:
    """Raises what a failed request means for a run.

    Args:
        what: as of `answer`.
        is_stepped: whether the weights have changed all the same.
    """
    if not isinstance(error, Exception) or isinstance(error, GeospotError):
        raise error
    fault = fault_of(error)
    if fault.gravity == "fatal" or fault.message == FORGOTTEN:
        raise fatal_error(fault) from error
    if is_diverged(fault):
        message = f"Training has diverged: {fault.message}."
        raise DivergedError(message, weights_intact=not is_stepped) from error
    verb = "refuses" if fault.gravity == "lost" else "failed"
    raise BackendError(f"The service {verb} {printable(what)}: {fault.message}.", RESUME) from error


def is_diverged(fault: Fault) -> bool:
    """Whether a service refused a request for numbers that aren't finite."""
    return _NOT_FINITE.search(fault.message) is not None


def outcome_of(
    computed: "tinker.ForwardBackwardOutput", stepped: Mapping[str, float]
) -> StepOutcome:
    metrics = dict(computed.metrics)
    norms = [value for key, value in stepped.items() if "grad_norm" in key]
    return StepOutcome(
        loss_sum=float(metrics.get("loss:sum", math.nan)),
        metrics=metrics | dict(stepped),
        logprobs=[_logprobs(output) for output in computed.loss_fn_outputs],
        grad_norm=norms[0] if norms else None,
    )


def _logprobs(output: "Mapping[str, tinker.TensorData]") -> "NDArray[np.float32]":
    import numpy as np

    return np.asarray(output["logprobs"].to_numpy(), np.float32)
