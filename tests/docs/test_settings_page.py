"""docs/settings.md says what the models say."""

from geospot.config.evaluation import EvalConfig, ScoreConfig
from geospot.config.learning import RLConfig, SFTConfig
from tests.support.settings_page import PAGE, REASONS, page


def test_the_page_is_what_the_models_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m tests.support.settings_page"


def test_reasons_are_about_settings_that_exist() -> None:
    known = {n for m in (SFTConfig, RLConfig, EvalConfig, ScoreConfig) for n in m.model_fields}
    assert REASONS.keys() - known == set()


def test_every_setting_stands_on_the_page() -> None:
    text = page()
    for model in (SFTConfig, RLConfig, EvalConfig, ScoreConfig):
        for name in model.model_fields:
            assert f"| `{name}` |" in text, name
