"""A small tokenizer with the Qwen families' special tokens and splitting rule, made in code."""

from functools import cache
from typing import Any, Final

SPECIAL: Final = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
NOT_SPECIAL: Final = ("<tool_call>", "</tool_call>", "<think>", "</think>")
"""Tokens of their own that the families don't count as special."""

# Words, single digits, punctuation, and line breaks that merge: as the released tokenizers split.
_SPLIT: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_TEXT: Final = (
    "Where on Earth was this photo taken?\nCity: Reykjavík\nRegion: Höfuðborgarsvæðið\n\n"
    "Country: Iceland\nLatitude: 64.1466\nLongitude: -21.9426\n\n\nsystem\nuser\nassistant\n"
    "You are a helpful assistant.\n\nThe road markings are yellow; the soil is red. 日本の道路標識。"
)


@cache
def qwen_tokenizer() -> Any:
    """A byte-level BPE of about 400 tokens as a transformers fast tokenizer."""
    from tokenizers import (
        AddedToken,
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        trainers,
    )
    from transformers import PreTrainedTokenizerFast

    backend: Any = Tokenizer(models.BPE())
    backend.normalizer = normalizers.NFC()
    splitters: Any = [
        pre_tokenizers.Split(Regex(_SPLIT), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]
    backend.pre_tokenizer = pre_tokenizers.Sequence(splitters)
    backend.decoder = decoders.ByteLevel()
    trainer: Any = trainers.BpeTrainer(
        vocab_size=400,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([_TEXT] * 20, trainer)
    backend.add_special_tokens([AddedToken(text, normalized=False) for text in SPECIAL])
    backend.add_tokens([AddedToken(text, normalized=False, special=False) for text in NOT_SPECIAL])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token="<|im_end|>",  # noqa: S106 - a token of text
        pad_token="<|endoftext|>",  # noqa: S106
    )
