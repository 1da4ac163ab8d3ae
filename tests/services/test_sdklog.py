"""What the SDK says, and what it needn't say any more."""

import logging

import pytest
from tinker.lib import internal_client_holder, telemetry

from geospot.services.sdklog import leave_the_end_unsaid

_SPEAKERS = (logging.getLogger("asyncio"), internal_client_holder.logger, telemetry.logger)


@pytest.mark.parametrize("logger", _SPEAKERS, ids=lambda logger: logger.name)
def test_only_what_it_could_not_do_after_the_end_is_unsaid(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    leave_the_end_unsaid()
    for why in ("cannot schedule new futures after shutdown", "no room left"):
        try:
            raise RuntimeError(why)
        except RuntimeError:
            logger.warning("Failed to drain, %s", why, exc_info=True)
    assert [record.args for record in caplog.records] == [("no room left",)]
