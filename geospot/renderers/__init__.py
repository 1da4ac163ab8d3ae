"""Chat with photos to a model's tokens, and its tokens back to messages."""

from geospot.renderers.base import Renderer
from geospot.renderers.messages import ImagePart, Message, TextPart, ThinkingPart, TrainOn
from geospot.renderers.qwen import Qwen3VLRenderer
from geospot.renderers.registry import get_renderer, renderer_name_of
from geospot.renderers.response import ParsedResponse
from geospot.renderers.style import STYLES, ChatStyle
from geospot.renderers.tokens import Tokenizer
from geospot.renderers.vision import VisionGrid

__all__ = [
    "STYLES",
    "ChatStyle",
    "ImagePart",
    "Message",
    "ParsedResponse",
    "Qwen3VLRenderer",
    "Renderer",
    "TextPart",
    "ThinkingPart",
    "Tokenizer",
    "TrainOn",
    "VisionGrid",
    "get_renderer",
    "renderer_name_of",
]
