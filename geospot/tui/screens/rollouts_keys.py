"""The keys of the screen of rollouts, the most important first."""

from collections.abc import Sequence
from typing import Final

from textual.binding import Binding

_SEEN: Final = (
    ("n,right", "group(1)", "Next photo", "The next group of answers"),
    ("p,left", "group(-1)", "Prev photo", "The group before"),
    ("right_square_bracket", "step(1)", "Next step", "The next step with rollouts"),
    ("left_square_bracket", "step(-1)", "Prev step", "The step before"),
    ("slash", "filter", "Filter", "outcome:refusal km>2500 country:BR word"),
    ("s", "sort", "Sort", "Groups as drawn, worst first, or widest spread first"),
    ("t", "parts", "Text/tokens", "Text and tokens, only the text, or only the tokens"),
    ("o", "map", "Map", "The step on the world map"),
    ("y", "copy_text", "Copy", "Copy the answer's text"),
    ("f", "follow", "Follow", "Go to the newest step, and on with it"),
)
_UNSEEN: Final = (
    ("m", "search(0)", "Search steps", "The nearest other step with an answer for the filter"),
    ("N", "search(1)", "Search on", "The next such step"),
    ("P", "search(-1)", "Search back", "The last such step before"),
    ("left_curly_bracket", "end(0)", "First step", "The first step with rollouts"),
    ("right_curly_bracket", "end(-1)", "Last step", "The newest step, without following"),
    ("Y", "copy_record", "Copy JSON", "Copy the whole record as JSON"),
    ("z,enter", "zoom", "One answer", "One answer at full width, or side by side again"),
    ("pagedown,space", "scroll(1)", "Page down", "Scroll the answers"),
    ("pageup", "scroll(-1)", "Page up", "Scroll the answers back"),
    ("full_stop", "token(1)", "Next token", "Read the next token's probability"),
    ("comma", "token(-1)", "Token before", "Read that of the token before"),
    ("greater_than_sign", "unlikely(1)", "Unlikely token", "The next token below 10%"),
    ("less_than_sign", "unlikely(-1)", "Unlikely before", "The token below 10% before"),
    ("e", "more", "More text", "Show more of long texts"),
)

KEYS: Final[Sequence[Binding]] = [
    *(Binding(key, action, label, tooltip=help_) for key, action, label, help_ in _SEEN),
    *(
        Binding(key, action, label, show=False, tooltip=help_)
        for key, action, label, help_ in _UNSEEN
    ),
]
"""Those that fit stand at the foot of the screen; the rest are in the list of all keys."""
