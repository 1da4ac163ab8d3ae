"""Screens driven without a terminal: keys in, text out."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, cast

from textual._context import active_app, visible_screen_stack
from textual.app import App
from textual.events import Key
from textual.pilot import Pilot
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget

from geospot.tui.app import GeospotApp

_DEADLINE_S = 120.0
"""Nobody waits so long for what comes; on a machine that does much else, a file takes seconds to be read."""
_CHARACTERS = {"enter": "\r", "space": " "}


def drive(
    app: GeospotApp,
    steps: Callable[[Pilot[None]], Awaitable[None]],
    size: tuple[int, int] = (120, 40),
) -> None:
    """Runs the app at a size, with `steps` at its keys."""

    async def main() -> None:
        async with app.run_test(size=size, notifications=True) as pilot:
            await steps(pilot)

    asyncio.run(main())


async def handled(min_sleep: float = 0.0, max_sleep: float = 1.0) -> None:
    """Waits until what was sent is handled, and what changed is painted.

    Timers and threads aren't waited for; `until` does that.
    """
    del min_sleep, max_sleep
    await _nothing_to_do()
    screens = active_app.get()._screen_stack  # pyright: ignore[reportPrivateUsage]
    if screens:
        screens[-1]._on_timer_update()  # pyright: ignore[reportPrivateUsage]
        await _nothing_to_do()


async def _nothing_to_do() -> None:
    loop = cast(Any, asyncio.get_running_loop())
    await asyncio.sleep(0)
    while loop._ready:  # noqa: ASYNC110 - that is all there is to know
        await asyncio.sleep(0)


async def until(pilot: Pilot[Any], holds: Callable[[], bool], what: str = "") -> None:
    """Waits until something holds.

    Raises:
        AssertionError: it doesn't within that time; the message has what is on screen.
    """
    deadline = time.monotonic() + _DEADLINE_S
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what or 'It'} never came. On screen:\n{seen(pilot.app.screen)}")
        await pilot.pause(0.02)


async def resized(pilot: Pilot[Any], width: int, height: int) -> None:
    """Makes the terminal as large as this, and waits until the screen is; Textual waits a moment first."""
    await pilot.resize_terminal(width, height)
    await until(
        pilot,
        lambda: pilot.app.screen._compositor.size == (width, height),  # pyright: ignore[reportPrivateUsage]
        f"{width} by {height}",
    )
    await pilot.pause()


async def until_seen(pilot: Pilot[None], *texts: str) -> str:
    """Waits until all texts are on screen, however their lines are broken; gives the screen."""

    def holds() -> bool:
        shown = seen(pilot.app.screen)
        flat = " ".join(shown.split())
        return all(text in shown or text in flat for text in texts)

    await until(pilot, holds, " and ".join(texts))
    return seen(pilot.app.screen)


def type_ahead(app: App[Any], keys: Iterable[str]) -> None:
    """All of them wait in the app's queue at once."""
    for key in keys:
        character = _CHARACTERS.get(key, key if len(key) == 1 else None)
        app.post_message(Key(key, character))


def seen(widget: Widget) -> str:
    """What a widget, or a whole screen, shows: its rows as plain text."""
    return "\n".join(_rows(widget))


def painted(screen: Screen[Any]) -> list[Strip]:
    """The rows of a whole screen, as they are painted on a terminal.

    What a dialog lets through is taken from a list of the screens below it, which each painting uses up:
    without a new one it would be whatever another painting left there, and stay in the dialog's cache.
    """
    app = cast(Any, screen).app
    visible_screen_stack.set(app._background_screens if screen is app.screen else [])
    return screen._compositor.render_strips()  # pyright: ignore[reportPrivateUsage]


def _rows(widget: Widget) -> Sequence[str]:
    if widget.is_container or widget.children or widget is widget.screen:
        region = widget.region
        rows = ["".join(segment.text for segment in strip) for strip in painted(widget.screen)]
        return [row[region.x : region.right] for row in rows[region.y : region.bottom]]
    return [
        "".join(segment.text for segment in widget.render_line(y))
        for y in range(widget.size.height)
    ]


def opened(
    first: Callable[[GeospotApp], None],
    *,
    folders: Sequence[Path] = (),
    results: Sequence[Path] = (),
) -> GeospotApp:
    """An app that opens a screen at its start."""
    return GeospotApp(folders, results, first=first)
