"""How a long piece of work speaks to a person: sentences, how fast it goes, how long it will take."""

import sys
import time

from rich.console import Console
from rich.text import Text


class Speaker:
    """Sentences on standard error, or on the console that is given."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(file=sys.stderr, highlight=False)

    def say(self, message: str) -> None:
        """One plain sentence."""
        self._print(Text(message))

    def warn(self, message: str) -> None:
        """A sentence that starts with a word, not only with a colour."""
        self._print(Text(f"Warning: {message}", style="bold yellow"))

    def _print(self, text: Text) -> None:
        """Broken between words on a terminal; one line elsewhere, for whoever reads lines."""
        self.console.print(text, soft_wrap=not self.console.is_terminal)


class Meter:
    """How fast things get done, over the last `window_s` seconds, and how long the rest will take."""

    def __init__(self, done: int, total: int, window_s: float) -> None:
        self.total = total
        self._window_s = window_s
        self._marks: list[tuple[float, int]] = [(time.monotonic(), done)]

    @property
    def done(self) -> int:
        """How many are done, at the last reading."""
        return self._marks[-1][1]

    def update(self, done: int) -> None:
        """Takes a reading."""
        now_s = time.monotonic()
        self._marks.append((now_s, done))
        while len(self._marks) > 2 and now_s - self._marks[0][0] > self._window_s:
            self._marks.pop(0)

    @property
    def per_s(self) -> float:
        """How many a second; 0 while nothing is known."""
        (began_s, before), (now_s, after) = self._marks[0], self._marks[-1]
        return (after - before) / (now_s - began_s) if now_s > began_s else 0.0

    @property
    def left(self) -> str:
        """The time left as h:mm:ss, `?` while nothing is known."""
        if self.per_s <= 0.0:
            return "?"
        seconds = round((self.total - self.done) / self.per_s)
        return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
