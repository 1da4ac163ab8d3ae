"""The chat formats of the Qwen vision families, as data.

All of them write `<|im_start|>role`, a newline, the content and `<|im_end|>`, with photos between
`<|vision_start|>` and `<|vision_end|>`. They differ in what becomes of reasoning.
"""

from dataclasses import dataclass
from typing import Final, Literal

from geospot.renderers.vision import QWEN2_5_GRID, QWEN3_GRID, VisionGrid

CHAT_TEMPLATE: Final = "chat_template"
"""The renderer that asks the tokenizer how its model is spoken to."""

OPEN_BLOCK: Final = "<think>\n"
EMPTY_BLOCK: Final = "<think>\n\n</think>\n\n"

_XHIGH: Final = (
    "Reasoning effort is set to xhigh. Please think carefully through the task, validate key "
    "assumptions, consider plausible alternatives, and prioritize correctness, consistency, and "
    "clarity in the final answer."
)
_LOW: Final = (
    "Reasoning effort is set to low. Keep your thinking brief and focused, moving directly to the "
    "conclusion without unnecessary elaboration."
)


@dataclass(frozen=True, slots=True)
class ChatStyle:
    """How one family, in one of its modes, is written and read.

    Attributes:
        name: the renderer's name; tinker-cookbook's, where it has the same one.
        grid: the family's image processor, as released.
        prompt_end: what a generation prompt writes behind the assistant's header.
        default_system: a system message for conversations that bring none.
        instruction: a sentence put before the system message (Qwen3.8's reasoning effort).
        system_may_be_empty: False where an empty system message isn't written at all.
        padded: reasoning stands on lines of its own, and content loses outer white space.
        empty_block: which assistant messages without reasoning get an empty block: none, those after
            the last user message, or all.
        keeps_reasoning: whether earlier messages keep theirs.
        inline_reasoning: whether `<think>` in a plain string counts as reasoning.
        strips_answer: on reading, line breaks between reasoning and answer belong to the format.
    """

    name: str
    grid: VisionGrid = QWEN3_GRID
    prompt_end: Literal["", "<think>\n", "<think>\n\n</think>\n\n"] = ""
    default_system: str = ""
    instruction: str = ""
    system_may_be_empty: bool = True
    padded: bool = False
    empty_block: Literal["never", "after_last_user", "always"] = "never"
    keeps_reasoning: bool = False
    inline_reasoning: bool = True
    strips_answer: bool = True

    @property
    def thinking_disabled(self) -> bool:
        """Whether the generation prompt tells the model not to reason."""
        return self.prompt_end == EMPTY_BLOCK


def _qwen3_5(name: str, *, thinks: bool, keeps_reasoning: bool = False) -> ChatStyle:
    return ChatStyle(
        name,
        prompt_end=OPEN_BLOCK if thinks else EMPTY_BLOCK,
        padded=True,
        empty_block="after_last_user",
        keeps_reasoning=keeps_reasoning,
    )


def _qwen3_8(name: str, *, thinks: bool, instruction: str = "") -> ChatStyle:
    return ChatStyle(
        name,
        prompt_end=OPEN_BLOCK if thinks else EMPTY_BLOCK,
        instruction=instruction,
        system_may_be_empty=False,
        padded=True,
        empty_block="always",
        keeps_reasoning=True,
        inline_reasoning=False,
    )


QWEN3_VL_INSTRUCT: Final = ChatStyle("qwen3_vl_instruct", strips_answer=False)

STYLES: Final = {
    style.name: style
    for style in (
        ChatStyle(
            "qwen2_5_vl",
            grid=QWEN2_5_GRID,
            default_system="You are a helpful assistant.",
            strips_answer=False,
        ),
        QWEN3_VL_INSTRUCT,
        ChatStyle("qwen3_vl"),
        _qwen3_5("qwen3_5", thinks=True),
        _qwen3_5("qwen3_5_disable_thinking", thinks=False),
        _qwen3_5("qwen3_5_preserve_thinking", thinks=True, keeps_reasoning=True),
        _qwen3_8("qwen3_8_xhigh_reasoning", thinks=True, instruction=_XHIGH),
        _qwen3_8("qwen3_8_medium_reasoning", thinks=True),
        _qwen3_8("qwen3_8_low_reasoning", thinks=True, instruction=_LOW),
        _qwen3_8("qwen3_8_disable_thinking", thinks=False),
    )
}
"""Every chat format that is known here, by name."""
