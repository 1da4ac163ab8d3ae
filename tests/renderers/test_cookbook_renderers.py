"""tinker-cookbook's renderers by name, behind the face of ours."""

import subprocess
import sys
from typing import Any

import pytest

from geospot.errors import ImageError, RenderError, UsageError
from geospot.renderers import STYLES, Message, Renderer, get_renderer
from geospot.renderers.cookbook import CookbookRenderer
from tests.support.chats import Chats, photo
from tests.support.photos import make_photo
from tests.support.qwen_tokenizer import qwen_tokenizer

ASKED: list[Message] = [
    {
        "role": "user",
        "content": [{"type": "image", "image": photo(1)}, {"type": "text", "text": "Where?"}],
    }
]


@pytest.fixture
def _cookbook() -> None:
    pytest.importorskip(
        "tinker_cookbook.renderers",
        reason="tinker-cookbook isn't installed (pip install --no-deps -r requirements-oracle.txt)",
        exc_type=ImportError,
    )


@pytest.mark.usefixtures("_cookbook")
@pytest.mark.parametrize("name", [name for name in STYLES if name != "qwen2_5_vl"])
def test_theirs_and_ours_give_one_model_input(name: str) -> None:
    ours = get_renderer(name, qwen_tokenizer())
    theirs = get_renderer(f"cookbook:{name}", qwen_tokenizer(), STYLES[name].grid)
    assert isinstance(theirs, CookbookRenderer)
    assert theirs.name == f"cookbook:{name}"
    assert theirs.get_stop_sequences() == ours.get_stop_sequences()
    answered: list[Message] = [*ASKED, {"role": "assistant", "content": "City: X"}]
    pairs = [(r.build_generation_prompt(ASKED, "City:"), r) for r in (ours, theirs)]
    assert _flat(pairs[0][0]) == _flat(pairs[1][0])
    (mine, my_weights), (other, other_weights) = (
        r.build_supervised_example(answered) for r in (ours, theirs)
    )
    assert _flat(mine) == _flat(other)
    assert my_weights.tolist() == other_weights.tolist()
    assert my_weights.dtype == other_weights.dtype
    tokens = qwen_tokenizer().encode("City: X<|im_end|>", add_special_tokens=False)
    assert theirs.parse_response(tokens).text == "City: X"
    assert theirs.parse_response(tokens[:-1]).truncated


@pytest.mark.usefixtures("_cookbook")
@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("geospot/tiny-vlm-scratch", "qwen3_vl_instruct"),  # patches of its own
        ("Qwen/Qwen3-VL-8B-Instruct", "qwen3_vl_instruct"),
        ("Qwen/Qwen3.5-4B", "qwen3_5"),
        ("some/model", "qwen3_5"),
    ],
)
def test_an_images_tokens_are_counted_without_a_processor_as_commands_ask(
    model: str, name: str
) -> None:
    ours = get_renderer(model, qwen_tokenizer(), renderer_name=name)
    theirs = get_renderer(model, qwen_tokenizer(), renderer_name=f"cookbook:{name}")
    assert isinstance(theirs, CookbookRenderer)
    assert _flat(theirs.build_generation_prompt(ASKED)) == _flat(
        ours.build_generation_prompt(ASKED)
    )


@pytest.mark.usefixtures("_cookbook")
def test_a_family_is_counted_as_the_model_is_though_the_renderers_name_is_theirs_alone() -> None:
    model = "Qwen/Qwen2.5-VL-7B-Instruct"

    def counted(renderer: Renderer) -> list[int]:
        chunks: list[Any] = renderer.build_generation_prompt(ASKED).chunks
        return [chunk.expected_tokens for chunk in chunks if chunk.type == "image"]

    name = "qwen3_vl_instruct"
    theirs = get_renderer(model, qwen_tokenizer(), renderer_name=f"cookbook:{name}")
    own = counted(get_renderer(model, qwen_tokenizer()))
    assert counted(theirs) == own != counted(get_renderer(name, qwen_tokenizer()))


@pytest.mark.usefixtures("_cookbook")
def test_a_name_that_only_the_cookbook_knows_is_found_without_a_prefix() -> None:
    renderer = get_renderer("role_colon", qwen_tokenizer())
    asked: list[Message] = [{"role": "user", "content": Chats("colon").text() + "Where?"}]
    text = qwen_tokenizer().decode(renderer.build_generation_prompt(asked).to_ints())
    assert text.startswith("User:")
    assert text.endswith("Assistant:")
    assert renderer.get_stop_sequences() == ["\n\nUser:"]


@pytest.mark.usefixtures("_cookbook")
def test_photos_are_prepared_as_ours_and_bounded() -> None:
    renderer = get_renderer(
        "cookbook:qwen3_5", qwen_tokenizer(), STYLES["qwen3_5"].grid, max_image_side=200
    )
    tagged = make_photo("tagged", size=(640, 320), gps=(64.1, -21.9))
    asked: list[Message] = [{"role": "user", "content": [{"type": "image", "image": tagged}]}]
    chunks: list[Any] = renderer.build_generation_prompt(asked).chunks
    (chunk,) = (chunk for chunk in chunks if chunk.type == "image")
    assert b"Exif" in tagged
    assert b"Exif" not in chunk.data
    assert chunk.expected_tokens == STYLES["qwen3_5"].grid.expected_tokens(200, 100)


@pytest.mark.usefixtures("_cookbook")
def test_what_the_cookbook_refuses_is_one_sentence() -> None:
    blind = get_renderer("cookbook:role_colon", qwen_tokenizer())
    with pytest.raises(RenderError, match="without the model's image processor"):
        blind.build_generation_prompt(ASKED)
    strict = get_renderer("cookbook:qwen3_5_disable_thinking", qwen_tokenizer())
    reasoned: list[Message] = [
        {"role": "user", "content": "Where?"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm."}]},
    ]
    with pytest.raises(RenderError, match=r"cookbook:qwen3_5_disable_thinking refuses: "):
        strict.build_supervised_example(reasoned)


@pytest.mark.usefixtures("_cookbook")
@pytest.mark.parametrize("grid", [True, False])
def test_a_photo_that_the_model_refuses_is_that_photos_fault(grid: bool) -> None:
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    processor: Any = STYLES["qwen3_5"].grid if grid else Qwen2VLImageProcessorPil()
    renderer = get_renderer("cookbook:qwen3_5", qwen_tokenizer(), processor)
    thin = make_photo("thin", size=(1, 300))
    with pytest.raises(ImageError, match="1 × 300"):
        renderer.build_generation_prompt(
            [{"role": "user", "content": [{"type": "image", "image": thin}]}]
        )


@pytest.mark.usefixtures("_cookbook")
def test_their_cut_off_answers_are_read_as_ours() -> None:
    encode: Any = qwen_tokenizer().encode
    for name in ("qwen3_5", "qwen3_5_disable_thinking", "qwen3_vl"):
        ours = get_renderer(name, qwen_tokenizer())
        theirs = get_renderer(f"cookbook:{name}", qwen_tokenizer())
        for text in (
            "Yellow lines, Latitude: 1.0",
            "<think>\nYellow",
            "Yellow\n</think>\n\nCity: X",
        ):
            cut, whole = (
                encode(text + end, add_special_tokens=False) for end in ("", "<|im_end|>")
            )
            assert theirs.parse_response(cut).truncated
            for tokens in (cut, whole):
                expected, parsed = ours.parse_response(tokens), theirs.parse_response(tokens)
                assert parsed.raw == expected.raw
                assert parsed.truncated == expected.truncated
            assert theirs.parse_response(cut).text == ours.parse_response(cut).text


@pytest.mark.usefixtures("_cookbook")
def test_a_renderer_for_text_alone_refuses_photos() -> None:
    renderer = get_renderer("role_colon", qwen_tokenizer(), STYLES["qwen3_5"].grid)
    with pytest.raises(RenderError, match="role_colon"):
        renderer.build_generation_prompt(ASKED)


def test_without_the_package_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in ("tinker_cookbook", "tinker_cookbook.renderers"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match="pip install tinker-cookbook"):
        get_renderer("cookbook:kimi_k25", qwen_tokenizer())
    with pytest.raises(UsageError, match="No renderer is known"):
        get_renderer("kimi_k25", qwen_tokenizer())


def test_importing_the_renderers_loads_nothing_heavy() -> None:
    program = (
        "import sys, geospot.renderers, geospot.completers; "
        "print([m for m in ('tinker', 'torch', 'transformers', 'PIL', 'numpy', 'tinker_cookbook') "
        "if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def _flat(model_input: Any) -> list[Any]:
    flat: list[Any] = []
    for chunk in model_input.chunks:
        if chunk.type == "encoded_text":
            flat += chunk.tokens
        else:
            flat.append((chunk.data, chunk.format, chunk.expected_tokens))
    return flat
