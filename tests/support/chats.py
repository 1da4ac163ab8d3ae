"""Conversations drawn from a seed: every shape of message that the renderers take."""

import random
from functools import cache

from geospot.renderers.messages import Message, Part
from tests.support.photos import make_photo

_SIZES = ((96, 72), (300, 200), (64, 640), (33, 31), (513, 40), (8, 9), (250, 250), (1, 90))
_WORDS = (
    "Iceland",
    "Reykjavík",
    "the road markings are yellow",
    "Latitude: 64.1466",
    "Longitude: -21.9426",
    "日本の道路標識",
    "é́",
    "12,345",
    "don't",
    "it's…",
    "🛣️",
    "  ",
    "\t",
    "<b>",
    "</tool>",
    "{}",
    "<|nothing|>",
)
_BREAKS = ("\n", "\n\n", " ", " ", "", "\n\n\n", " \n", ". ", "\r\n")


@cache
def photo(number: int) -> bytes:
    """One of eight small JPEGs of very different shapes."""
    return make_photo(f"chat {number}", size=_SIZES[number % len(_SIZES)])


class Chats:
    """A stream of conversations; equal seeds give equal conversations."""

    def __init__(self, seed: str) -> None:
        self._rng = random.Random(seed)

    def conversation(self) -> list[Message]:
        """System message or none, one to four turns of user and assistant, the assistant's last."""
        messages: list[Message] = []
        if self._rng.random() < 0.4:
            messages.append({"role": "system", "content": self._system()})
        for _ in range(self._rng.choice((1, 1, 2, 3, 4))):
            if self._rng.random() < 0.92:
                messages.append({"role": "user", "content": self._user()})
            messages.append({"role": "assistant", "content": self._assistant()})
        return messages

    def text(self) -> str:
        """Anything between nothing and a dozen words, with white space wherever it hurts."""
        pieces = [
            self._rng.choice(_WORDS) + self._rng.choice(_BREAKS)
            for _ in range(self._rng.randrange(9))
        ]
        return self._rng.choice(("", "", "\n", " ", "\n\n")) + "".join(pieces)

    def _system(self) -> str | list[Part]:
        if self._rng.random() < 0.3:
            return [{"type": "text", "text": self.text()} for _ in range(self._rng.randrange(3))]
        return self._rng.choice((self.text(), "", " \n", "You are a helpful assistant."))

    def _user(self) -> str | list[Part]:
        if self._rng.random() < 0.3:
            return self.text()
        parts: list[Part] = []
        for _ in range(self._rng.randrange(1, 6)):
            if self._rng.random() < 0.4:
                parts.append({"type": "image", "image": photo(self._rng.randrange(len(_SIZES)))})
            else:
                parts.append({"type": "text", "text": self.text()})
        return parts

    def _assistant(self) -> str | list[Part]:
        drawn = self._rng.random()
        if drawn < 0.45:
            return self.text()
        if drawn < 0.55:
            return f"<think>{self.text()}</think>{self.text()}"
        parts: list[Part] = [{"type": "text", "text": self.text()}]
        if drawn < 0.9:
            parts.insert(0, {"type": "thinking", "thinking": self.text()})
        if drawn > 0.8:
            parts.append({"type": "text", "text": self.text()})
        return parts
