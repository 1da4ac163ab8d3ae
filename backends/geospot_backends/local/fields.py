"""A JSON object off the wire, whose values are taken out with their types checked."""

import json
from collections.abc import Mapping
from typing import Any, Final, cast

from geospot_backends.local.api import EngineUserError

_LARGEST: Final = 2**63 - 1


class BadMessageError(EngineUserError):
    """A message that isn't of the form that it should have."""


class Fields:
    """A JSON object whose values are taken out with their types checked."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    @classmethod
    def parse(cls, body: bytes) -> "Fields":
        """The object in a request's body; an empty body is an empty object.

        Raises:
            BadMessageError: no JSON, or no object.
        """
        try:
            value: Any = json.loads(body or b"{}")
        except (ValueError, RecursionError) as error:
            raise BadMessageError(f"the body is no JSON: {error}") from None
        if not isinstance(value, dict):
            raise BadMessageError("the body is no JSON object")
        return cls(cast(dict[str, Any], value))

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def text(self, name: str) -> str:
        """A string that must be there."""
        value = self._values.get(name)
        if not isinstance(value, str):
            raise BadMessageError(f"{name} must be a string")
        if not value:
            raise BadMessageError(f"{name} must be a string that isn't empty")
        return value

    def text_or_none(self, name: str) -> str | None:
        """A string, or nothing."""
        return self.text(name) if name in self else None

    def whole(self, name: str) -> int:
        """An integer that must be there."""
        value = self._values.get(name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise BadMessageError(f"{name} must be an integer")
        if not -_LARGEST <= value <= _LARGEST:
            raise BadMessageError(f"{name} must be an integer of 64 bits")
        return value

    def whole_or_none(self, name: str) -> int | None:
        """An integer, or nothing."""
        return self.whole(name) if name in self else None

    def number(self, name: str, default: float) -> float:
        """A number."""
        value = self._values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadMessageError(f"{name} must be a number")
        try:
            return float(value)
        except OverflowError:
            raise BadMessageError(f"{name} must be a number of 64 bits") from None

    def flag(self, name: str, *, default: bool) -> bool:
        """True or false."""
        value = self._values.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise BadMessageError(f"{name} must be true or false")
        return value

    def object(self, name: str) -> "Fields":
        """An object that must be there."""
        value = self._values.get(name)
        if not isinstance(value, dict):
            raise BadMessageError(f"{name} must be an object")
        return Fields(cast(dict[str, Any], value))

    def objects(self, name: str) -> list["Fields"]:
        """A list of objects."""
        value = self._values.get(name)
        if not isinstance(value, list):
            raise BadMessageError(f"{name} must be a list")
        items = cast(list[Any], value)
        if not all(isinstance(item, dict) for item in items):
            raise BadMessageError(f"{name} must be a list of objects")
        return [Fields(item) for item in items]

    def raw(self, name: str) -> Any:
        """The value as it is, None where it is missing."""
        return self._values.get(name)


def in_range(name: str, ids: list[int]) -> list[int]:
    """The same, where each has at most 64 bits.

    Raises:
        BadMessageError: one has more.
    """
    if any(not -_LARGEST <= id_ <= _LARGEST for id_ in ids):
        raise BadMessageError(f"{name} must be 64-bit integers")
    return ids
