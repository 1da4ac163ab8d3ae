"""A person who evaluates on the training photos is told so."""

import io

import pytest
from rich.console import Console

from geospot.config.learning import SFTConfig
from geospot.evaluation.progress import TerminalView
from geospot.learning.display import TerminalRunView
from geospot.learning.evaluation import flattering


@pytest.mark.parametrize(
    ("settings", "flatters"),
    [
        ({}, False),
        ({"split": "test"}, True),
        ({"split": "test", "eval_every": 0}, False),
        ({"split": "test", "eval_hf_repo": "world"}, False),
        ({"split": "test", "eval_hf_repo": "osv5m/osv5m"}, True),
        ({"eval_split": "train"}, True),
    ],
)
def test_evaluating_on_the_training_photos_flatters(
    settings: dict[str, object], flatters: bool
) -> None:
    said = flattering(SFTConfig.model_validate(settings))
    assert (said is not None) is flatters
    if said is not None:
        assert "are trained on" in said
        assert "eval_split" in said


@pytest.mark.parametrize("view_of", [TerminalRunView, TerminalView])
def test_sentences_break_between_words_on_a_terminal_and_nowhere_else(
    view_of: type[TerminalRunView] | type[TerminalView],
) -> None:
    sentence = "Training is told in a sentence that is longer than the terminal is wide"
    for is_terminal in (True, False):
        screen = io.StringIO()
        view = view_of(
            Console(file=screen, force_terminal=is_terminal, width=20, color_system=None)
        )
        view.say(sentence)
        lines = screen.getvalue().splitlines()
        assert " ".join(line.strip() for line in lines) == sentence
        assert (len(lines) > 1) is is_terminal
