"""Packages without usable types, taken as they come."""

from importlib import import_module
from typing import Any


def untyped(module: str) -> Any:
    """The module, imported now; its members are unchecked."""
    return import_module(module)
