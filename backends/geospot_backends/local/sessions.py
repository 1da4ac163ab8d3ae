"""Sessions: one a client. Models and samplers belong to one, and are freed with it."""

import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Final

from geospot_backends.local.failures import GoneError, NotFoundError
from geospot_backends.local.fields import Fields

SESSION_S: Final = 900.0
"""A client beats every ten seconds; one that is silent for so long has died, and frees its models."""
LOST: Final = "It may have been restarted: open a new session, and load the last checkpoint."


@dataclass(slots=True)
class Session:
    """A client, and the ids of what it made."""

    id: str
    seen_s: float
    models: set[str] = field(default_factory=set[str])
    samplers: set[str] = field(default_factory=set[str])


class Sessions:
    """The open sessions."""

    def __init__(self) -> None:
        self._open: dict[str, Session] = {}

    def __contains__(self, session: Session) -> bool:
        return session.id in self._open

    def create(self) -> dict[str, Any]:
        """A new session; everything else belongs to one."""
        session = Session(str(uuid.uuid4()), time.monotonic())
        self._open[session.id] = session
        return {"type": "create_session", "session_id": session.id}

    def heartbeat(self, fields: Fields) -> dict[str, Any]:
        """Says that the client lives.

        Raises:
            GoneError: its session has ended.
        """
        session = self._open.get(fields.text("session_id"))
        if session is None:
            raise GoneError("this session has ended")
        session.seen_s = time.monotonic()
        return {"type": "session_heartbeat"}

    def get(self, session_id: str) -> Session:
        """The session.

        Raises:
            NotFoundError: there is none of this id.
        """
        try:
            return self._open[session_id]
        except KeyError:
            raise NotFoundError(f"this server has no session {session_id}. {LOST}") from None

    def described(self, session_id: str) -> dict[str, Any]:
        """What belongs to a session."""
        session = self.get(session_id)
        return {
            "training_run_ids": sorted(session.models),
            "sampler_ids": sorted(session.samplers),
        }

    def listed(self) -> dict[str, Any]:
        """Every open session."""
        return {"sessions": list(self._open)}

    def end(self, session_id: str) -> Session | None:
        """Closes it; None where it isn't open."""
        return self._open.pop(session_id, None)

    def silent(self) -> list[str]:
        """The sessions whose clients have died."""
        since_s = time.monotonic() - SESSION_S
        return [session.id for session in self._open.values() if session.seen_s < since_s]
