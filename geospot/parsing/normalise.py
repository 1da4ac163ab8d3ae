"""One spelling for the characters and the markup that answers come in."""

import re
import unicodedata
from html import unescape
from typing import Final

from geospot.parsing.vocabulary import LETTER, SIGN_WORDS, TURKISH_LETTERS

_TAG = r"think|thinking|thoughts?|reason|reasoning|reflection|scratchpad"
_THINK: Final = re.compile(
    rf"(?P<open><(?:\w{{1,12}}:)?(?:{_TAG})\b[^<>]{{0,100}}(?<!/)>|\[think\]|◁think▷"
    r"|<\|begin_of_thought\|>|<\|channel\|>analysis<\|message\|>)"
    rf"|(?P<close></(?:\w{{1,12}}:)?(?:{_TAG})>|\[/think\]|◁/think▷|<\|end_of_thought\|>"
    r"|<\|channel\|>final<\|message\|>)",
    re.IGNORECASE,
)

# Deleted: zero-width and bidirectional marks, soft hyphens, byte order marks, lone surrogates.
_INVISIBLE: Final = re.compile(
    "[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ud800-\udfff]+"
)
# Composition by hand, a few marks at a time: NFC of a long run of marks takes quadratic time.
_DECOMPOSED: Final = re.compile(
    "\\w[\u0300-\u036f\u3099\u309a]{1,3}|[\u1100-\u1112][\u1161-\u1175][\u11a8-\u11c2]?"
)
_NEWLINE: Final = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_BREAK_TAG: Final = re.compile(
    r"</?(?:br|p|li|tr|div|h[1-6]|ul|ol|table|tbody|thead)\b[^<>]{0,99}>", re.IGNORECASE
)
_CELL_TAG: Final = re.compile(r"</?t[dh]\b[^<>]{0,99}>", re.IGNORECASE)
_STYLE_TAG: Final = re.compile(
    r"</?(?:b|i|u|em|strong|span|code|pre|sup|sub|font|a|answer|final_?answer|response|result|output)"
    r"\b[^<>]{0,200}>|<\|[a-z_]{1,30}\|>",
    re.IGNORECASE,
)

_DIGIT_ZEROS: Final = (
    *(0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66, 0xE50),
    *(0xED0, 0xF20, 0x1040, 0x17E0, 0x1810, 0xFF10, 0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC, 0x1D7F6),
)
_SPELLINGS: Final = {
    "-": "‐‑‒–—―−﹣－⁻➖",
    "°": "º˚∘⁰ᵒ゜ﾟ",
    "'": "′ʹ’‘‛´ˊʼ＇",
    '"': "″ʺ“”„‟〃˝＂",
    ",": "，、،﹐､",
    ".": "٫．｡﹒",
    ":": "：﹕",
    ";": "；؛",
    "x": "×✕",
    "I": "İ",
    " ": "\t\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000",
}


def _character_table() -> dict[int, str | None]:
    table: dict[int, str | None] = {
        0xFEE0 + ascii_code: chr(ascii_code) for ascii_code in range(33, 127)
    }
    for zero in _DIGIT_ZEROS:
        table.update({zero + digit: str(digit) for digit in range(10)})
    for plain_char, spellings in _SPELLINGS.items():
        table.update(dict.fromkeys(map(ord, spellings), plain_char))
    table.update(dict.fromkeys(range(0x64B, 0x653)))  # Arabic vowel signs
    return table


_CHARACTERS: Final = _character_table()
_EM_DASH_AFTER_WORD: Final = re.compile(r"(?<=[^\W\d_])[—―–](?=\d)")
_MIDDLE_DOT: Final = re.compile(r"(?<=\d)[·∙⋅](?=\d)")

# "más o menos 40.4" gives no sign, and behind a number a tolerance.
_TOLERANCE: Final = re.compile(
    r"(?P<number>(?<=\d)[ °]{0,2})?(?:\b(?:m[áa]s o menos|mais ou menos|plus ou moins|pi[ùu] o meno"
    r"|plus[- /]?(?:or[- ])?minus)\b|\+/-|±)[ ]?",
    re.IGNORECASE,
)
_TOLERANCE_WORD: Final = re.compile(r"(?:plus|m[áa]s o|mais ou|pi[ùu] o)", re.IGNORECASE)
# A sign in words, or in brackets, in front of its number; after another number it subtracts.
_SPELLED_SIGN: Final = re.compile(
    rf"(?<![{LETTER}0-9°])(?<![\d°] )(?:\((?:{SIGN_WORDS}|-)\)|(?:{SIGN_WORDS})\.?)[ ]?(?=\d)",
    re.IGNORECASE,
)
_BRACKETED: Final = re.compile(r"(?<![\w)\]°'\"-])-\([ ]?(\d{1,3}(?:[.,]\d{1,20})?[ ]?°?)[ ]?\)")
_GLUED_LABEL: Final = re.compile(r"(?<=[\d°])(?=l(?:at|on|ng))", re.IGNORECASE)

_TURKISH: Final = re.compile(r"(?:(?<=°)|(?<=° ))[KGDB](?!\w)")

_LATEX: Final = (
    (re.compile(r"\\ang\{([^{};]{1,20})(?:;([^{};]{1,20}))?(?:;([^{};]{1,20}))?\}"), None),
    (re.compile(r"\\(?:SI|qty)\{([^{}]{1,40})\}\{([^{}]{1,40})\}"), r"\1 \2"),
    (re.compile(r"\^?\{?\\(?:circ|degrees?|textdegree|deg)\b\}?"), "°"),
    (re.compile(r"\^\{(?:\\prime ?\\prime|'')\}|\^\\prime ?\\prime\b|\\arcsec\b"), '"'),
    (re.compile(r"\^\{(?:\\prime|')\}|\^\\prime\b|\\arcmin\b"), "'"),
    (re.compile(r"\{,\}"), ","),
    (
        re.compile(
            r"\\(?:text|math)[a-z]{0,6} ?\{|\\(?:boxed|mbox|fbox|operatorname|ensuremath) ?\{"
        ),
        " ",
    ),
    (re.compile(r"\\(?:quad|qquad|left|right|approx|sim|big|Big|displaystyle|rm|bf)\b"), " "),
    (re.compile(r"\\[,;:! ]|\\\\"), " "),
)
_MATH_DOLLAR: Final = re.compile(r"\${1,2}([^$\n]{1,120})\${1,2}(?!\d)")
_ESCAPED: Final = re.compile(r"\\(?=[-_*#.()\[\]|+])")
_EMPHASIS: Final = re.compile(r"(?<![\w])_{1,3}(?=[^\W_])|(?<=[^\s_])_{1,3}(?=\W|$)")


def strip_thinking(text: str) -> str | None:
    """The answer without its think blocks, or None where one never ends.

    Before a closing mark that nothing opened, all is thinking: some chat templates put the opening
    mark into the prompt.
    """
    if "<" not in text and "[" not in text and "◁" not in text:
        return text
    kept: list[str] = []
    position, inside = 0, False
    for mark in _THINK.finditer(text):
        if mark["open"] is not None:
            if not inside:
                kept.append(text[position : mark.start()])
                inside = True
            continue
        if not inside:
            kept.clear()
        position, inside = mark.end(), False
    if inside:
        return None
    kept.append(text[position:])
    return "\n".join(kept) if len(kept) > 1 else kept[0]


def clean(text: str) -> str:
    """`text` without invisible characters and HTML; everything visible as written."""
    if not text.isascii():
        text = _INVISIBLE.sub("", text)
        text = _DECOMPOSED.sub(lambda m: unicodedata.normalize("NFC", m[0]), text)
    text = _NEWLINE.sub("\n", text)
    if "<" in text:
        text = _BREAK_TAG.sub("\n", text)
        text = _CELL_TAG.sub(" | ", text)
        text = _STYLE_TAG.sub("", text)
    return unescape(text) if "&" in text else text


def plain(text: str) -> str:
    """`text` in one spelling for numbers: ASCII digits, minus, points, quotes, `°`; no markdown or LaTeX."""
    if not text.isascii():
        text = _EM_DASH_AFTER_WORD.sub(" - ", text)
        text = _MIDDLE_DOT.sub(".", text)
        text = text.translate(_CHARACTERS)
    elif "\t" in text:
        text = text.replace("\t", " ")
    if "$" in text:
        text = _MATH_DOLLAR.sub(r" \1 ", text)
    if "\\" in text:
        text = _plain_latex(text)
    if "*" in text or "`" in text:
        text = text.replace("*", "").replace("`", "")
    if "°" in text and "enlem" in text.lower():
        text = _TURKISH.sub(lambda match: TURKISH_LETTERS[match[0]], text)
    if "_" in text:
        text = _EMPHASIS.sub("", text)
    return _GLUED_LABEL.sub(" ", _signs(text))


def _signs(text: str) -> str:
    """`text` with a minus for a sign that is written as a word or in brackets."""
    if "±" in text or "+/-" in text or _TOLERANCE_WORD.search(text):
        text = _TOLERANCE.sub(lambda match: "±" if match["number"] is not None else "≈", text)
    text = _SPELLED_SIGN.sub("-", text)
    return _BRACKETED.sub(r"-\1", text) if "-(" in text else text


def _plain_latex(text: str) -> str:
    if "\\n" in text and "\n" not in text:  # an answer that was escaped once too often
        text = text.replace("\\n", "\n")
    for command, replacement in _LATEX:
        text = command.sub(_angle if replacement is None else replacement, text)
    return _ESCAPED.sub("", text)


def _angle(match: re.Match[str]) -> str:
    degrees, minutes, seconds = match.groups()
    return f"{degrees}°" + (f"{minutes}'" if minutes else "") + (f'{seconds}"' if seconds else "")
