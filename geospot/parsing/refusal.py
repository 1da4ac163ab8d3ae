"""Answers that decline to answer. Only asked where no coordinates were read."""

import re
from typing import Final

# What a model says it can't do; "I can't read the sign" is no refusal.
_DO = (
    r"(?:assist|help|determin|identif|provid|pinpoint|locat|geolocat|tell|say\b|give|answer"
    r"|compl(?:y|ete)"
    r"|know|see\b|view|process|analy[sz]|access|disclos|fulfil|guess|estimat|recogni[sz]e|share|support"
    r"|be (?:determined|identified|pinpointed)|engage|assess|establish|figure|predict|respond|make)"
)
_CANNOT = (
    r"(?:can(?:'t|not| not)|could(?:n't| not)|unable to|not able to|won't|will not|refuse to|decline to"
    r"|(?:do|does)(?:n't| not)|impossible to|not possible to|not (?:comfortable|allowed"
    r"|permitted|going to)"
    r"|no way to|not be able to|must decline|have to decline)"
)
_PHRASES: Final = (
    rf"\b{_CANNOT}\b[^.!?\n]{{0,60}}?\b{_DO}",
    r"\b(?:insufficient|not enough|too little|lack of|no) (?:visual |contextual |geographic "
    r"|identifying )?"
    r"(?:information|context|clues|details?|data|evidence)",
    r"\bno (?:image|photo|picture) (?:was|is|has been|attached|provided|visible)",
    r"\bas an? (?:ai|artificial|language|large language)\b",
    r"\b(?:against|violates?) (?:my|our|the)\b[^.\n]{0,30}(?:polic|guideline|rule)",
    r"^\W{0,3}(?:i'?m |i am )?(?:very |so |really )?sorry\b|^\W{0,3}i (?:must"
    r"|have to) (?:decline|refuse)",
    r"\bi apologi[sz]e\b|\bmy apologies\b|\bno idea\b",
    r"\b(?:do|does)(?:n't| not) have (?:enough|sufficient|access)",
    # German, French, Spanish, Portuguese, Italian, Dutch
    r"\bkann (?:ich )?(?:\w+ ){0,8}nicht\b|\bich kann\b[^.\n]{0,60}\b(?:nicht|keine?n?)\b|tut mir leid"
    r"|nicht (?:möglich|in der lage)|es ist unmöglich|kein(?:e|en)? (?:bild|foto)",
    r"\bje (?:ne )?peux (?:malheureusement )?pas\b|désolée?\b|impossible (?:de|d')|pas en mesure"
    r"|je ne (?:sais|suis) pas|n'est pas possible|\bje refuse|n'ai pas (?:accès|assez)",
    r"lo siento|\bno (?:puedo|me es posible|es posible|soy capaz|sé|logro)\b"
    r"|imposible (?:determinar|identificar)",
    r"desculpe|lamento|\bnão (?:posso|consigo|é possível|sei|sou capaz)\b"
    r"|impossível (?:determinar|identificar)",
    r"mi dispiace|\bnon (?:posso|sono in grado|è possibile|riesco|so)\b"
    r"|impossibile (?:determinare|identificare)",
    r"het spijt me|\bik kan\b[^.\n]{0,60}\b(?:niet|geen)\b|niet mogelijk|niet in staat|onmogelijk",
    # Polish, Russian, Turkish
    r"przepraszam|przykro mi|\bnie (?:mogę|jestem w stanie|da się|potrafię|wiem)\b|niemożliwe",
    r"извините|простите|\bне (?:могу|удалось|представляется возможным|в состоянии|знаю)\b|невозможно",
    r"üzgünüm|maalesef|özür dilerim|(?:bilemiyorum|edemiyorum|edemem|veremem|belirleyemiyorum"
    r"|mümkün değil)",
    # Chinese, Japanese, Korean, Arabic, Hindi
    r"抱歉|对不起|對不起|无法|無法|不能(?:确定|提供|识别|帮|確定|識別)|不知道",
    r"申し訳|すみません|ごめん|できません|できない|わかりません|分かりません|困難です|不可能",
    r"죄송|미안|(?:할|알|드릴|확인할|특정할|판단할|제공할|식별할) 수(?:가|는)? ?없|불가능",
    r"آسف|عذر|أعتذر|لا (?:أستطيع|يمكنني|يمكن|أعرف)|لست قادر|غير قادر|من المستحيل",
    r"माफ|क्षमा|खेद|नहीं (?:कर|बता|दे|पहचान) सक|असमर्थ|संभव नहीं|असंभव",
)
_REFUSAL: Final = re.compile("|".join(_PHRASES))
_LOOK_AT: Final = 4000
"""Characters at each end of the answer that are searched; a refusal stands at one of them."""


def is_refusal(folded: str) -> bool:
    """Whether the answer declines. `folded` is normalised and in lower case."""
    if len(folded) <= 2 * _LOOK_AT:
        return _REFUSAL.search(folded) is not None
    return any(_REFUSAL.search(part) for part in (folded[:_LOOK_AT], folded[-_LOOK_AT:]))
