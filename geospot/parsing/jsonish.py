"""JSON that models write: trailing commas, single or curly quotes, bare keys, no closing braces.

One pass, no recursion while reading. What isn't even that (half-quoted values, say) is left to the
label reader.
"""

import re
from dataclasses import dataclass, field
from typing import Final, NamedTuple

_MAX_DEPTH: Final = 48
_TOKEN: Final = re.compile(
    r"""
    \s*+(?://[^\n]*+\s*+|\#[^\n]*+\s*+)*+
    (?: (?P<punctuation>[{}\[\]():,])
      | "(?P<double>(?:[^"\\\n]|\\.)*+)"
      | '(?P<single>(?:[^'\\\n]|\\.)*+)'
      | “(?P<curly>[^“”\n]*+)”
      | (?P<bare>(?:<[^<>\n]{0,99}>|[^\s{}\[\]():,"'“”])(?:[^{}\[\]():,"'“”\n])*+)
      | (?P<end>\Z))
    """,
    re.VERBOSE,
)
_OPENING: Final = re.compile(r"\{(?=\s*+[\"'“\w/#])")
_LIST_COMMA: Final = re.compile(r"\s*+,\s*+")
_COMMENT: Final = re.compile(r"\s(?://|#)")
_CLOSER: Final = {"{": "}", "[": "]", "(": ")"}
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\n", "b": "", "f": ""}


class Scalar(NamedTuple):
    """A string, number or word as written; `open` at the very end of the text, undelimited."""

    text: str
    quoted: bool
    open: bool


@dataclass(slots=True)
class Node:
    """An object (`items` with keys) or an array (keys empty)."""

    is_object: bool
    items: list[tuple[str, "Node | Scalar"]] = field(
        default_factory=list[tuple[str, "Node | Scalar"]]
    )


class Region(NamedTuple):
    """An object, or a list of them, and where it stands in the text."""

    start: int
    end: int
    root: Node


def json_regions(text: str) -> list[Region]:
    """Every outermost JSON object of `text` that can be read, in order; those of one list as one."""
    found: list[Region] = []
    opening = _OPENING.search(text)
    while opening is not None:
        reader = _Reader(text, opening.start())
        if reader.read():
            _add_region(found, text, Region(opening.start(), reader.position, reader.root))
        # Going on where it broke, not behind its first brace, keeps the time linear.
        opening = _OPENING.search(text, max(reader.position, opening.end()))
    return found


def _add_region(found: list[Region], text: str, region: Region) -> None:
    """Append the object, or join it to the one before where only a comma parts them."""
    if not found or _LIST_COMMA.fullmatch(text, found[-1].end, region.start) is None:
        found.append(region)
        return
    before = found[-1]
    if before.root.is_object:
        before = Region(before.start, before.end, Node(False, [("", before.root)]))
    before.root.items.append(("", region.root))
    found[-1] = Region(before.start, region.end, before.root)


class _Reader:
    """Reads one object. `position` is where it ended or where it broke."""

    def __init__(self, text: str, start: int) -> None:
        self.text = text
        self.position = start + 1
        self.root = Node(is_object=True)
        self.stack: list[tuple[Node, str]] = [(self.root, "}")]
        self.key = ""
        self.want = "key"  # key, colon, value or comma

    def read(self) -> bool:
        while self.stack:
            token = _TOKEN.match(self.text, self.position)
            if token is None:
                return False
            if token["end"] is not None:
                # Braces that were forgotten, or cut off. A key without value is dropped.
                self.position = token.end()
                return bool(self.root.items)
            if not self._take(token):
                return False
            self.position = token.end()
        return bool(self.root.items)

    def _take(self, token: re.Match[str]) -> bool:
        sign = token["punctuation"]
        if sign is None:
            return self._scalar(token)
        if sign in "{[(":
            return self._open(sign)
        if sign in "}])":
            return self._close(sign)
        if sign == ":":
            legal, self.want = self.want == "colon", "value"
            return legal
        legal = self.want in {"comma", "key"} or (
            self.want == "value" and not self.stack[-1][0].is_object
        )
        self.want = "key" if self.stack[-1][0].is_object else "value"
        return legal

    def _open(self, sign: str) -> bool:
        if self.want != "value" or len(self.stack) >= _MAX_DEPTH:
            return False
        node = Node(is_object=sign == "{")
        self._add(node)
        self.stack.append((node, _CLOSER[sign]))
        self.want = "key" if node.is_object else "value"
        return True

    def _close(self, sign: str) -> bool:
        node, closer = self.stack.pop()
        if sign != closer or (self.want == "value" and node.is_object) or self.want == "colon":
            return False
        self.want = "comma"
        return True

    def _scalar(self, token: re.Match[str]) -> bool:
        kind = token.lastgroup or ""
        raw = token[kind]
        content = _COMMENT.split(raw, maxsplit=1)[0].strip() if kind == "bare" else _unescaped(raw)
        if self.want == "key":
            self.key, self.want = content, "colon"
            return len(content) < 80
        if self.want != "value":
            return False
        at_end = kind == "bare" and token.end() == len(self.text)
        self._add(Scalar(content, kind != "bare", at_end and not raw.endswith("\n")))
        self.want = "comma"
        return True

    def _add(self, value: Node | Scalar) -> None:
        node = self.stack[-1][0]
        node.items.append((self.key if node.is_object else "", value))


def _unescaped(raw: str) -> str:
    if "\\" not in raw:
        return raw
    text = _ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else _ESCAPES.get(m[2], m[2]), raw)
    if text.isascii():
        return text
    # Two escapes make one character beyond the basic plane; half of one is no character.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
