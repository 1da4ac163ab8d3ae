"""The words of coordinates in the languages that models answer in. Lower case, as patterns.

Languages: English, German, French, Spanish, Portuguese, Italian, Dutch, Polish, Russian, Turkish,
Chinese, Japanese, Korean, Arabic, Hindi, and the labels of some more.
"""

from functools import lru_cache
from re import compile as pattern
from typing import Final

LETTER: Final = "a-zA-ZÀ-ÖØ-öø-ɏͰ-ϿЀ-ӿ"
"""Characters of scripts that put spaces between words; a label never begins or ends inside them."""

LATITUDE: Final = (
    "latitude|lattitude|latitute|latitud|latitudine|lat|breitengrad|breite|breedtegraad|breedte|szerokość|szerokosc"
    "|szer|широта|enlem|lintang|latitudinea|leveyspiiri|leveysaste|breddgrad|breddegrad|šířka|širina|πλάτος"
    "|纬度|緯度|위도|دائرة العرض|خط العرض|خط عرض|العرض|अक्षांश|ละติจูด|vĩ độ|קו רוחב"
)
LONGITUDE: Final = (
    "longitude|longtitude|longitute|longtitud|longitud|longitudine|long|lng|lon|längengrad|laengengrad|länge|laenge|lengtegraad"
    "|lengte|długość|dlugosc|dł|долгота|довгота|boylam|bujur|longitudinea|pituusaste"
    "|längdgrad|lengdegrad"
    "|længdegrad|délka|dužina|duljina|μήκος|经度|經度|経度|경도|خط الطول|خط طول|الطول|देशांतर|देशान्तर|ลองจิจูด"
    "|kinh độ|קו אורך"
)
PAIR: Final = (
    r"lat[ _]?l(?:on|ng)g?|coordinates?|co-ordinates?|coords?|gps|geo-?location|locations?|position"
    r"|koordinaten|standort|coordonn[ée]es|coordenadas|coordinata|coördinaten|współrzędne"
    r"|координаты|konum|koordinatlar[ıi]?|坐标|座標|좌표|(?:ال)?إحداثيات|निर्देशांक"
    r"|answer|guess|estimate|prediction|antwort|réponse|respuesta|resposta|risposta|antwoord"
    r"|odpowiedź|ответ|cevap|答案|答え|정답|الإجابة"
)
REVERSED_PAIR: Final = r"(?:lon|lng|long)[ _]?lat"

CITY: Final = (
    r"(?:nearest |closest |likely )?(?:city|town)(?:[/ ]*(?:or )?(?:(?:nearest )?town"
    r"|village))?|nearest[_ ](?:city|town)"
    r"|village|municipality|locality|settlement|stadt|ort|gemeinde|ville|commune|ciudad"
    r"|localidad|municipio|cidade"
    r"|munic[íi]pio|citt[àa]|comune|stad|plaats|gemeente|miasto|miejscowość|город"
    r"|населённый пункт|şehir"
    r"|城市|都市|市|도시|시|المدينة|مدينة|शहर|नगर"
)
REGION: Final = (
    r"(?:region|state|province|prefecture|county|territory"
    r"|district)(?:[/ ,]+(?:or )?(?:region|state|province|county|territory)){0,3}"
    r"|admin(?:istrative)?[_ ]?(?:1|region|area|division)|bundesland|kanton|bundesstaat"
    r"|provinz|région|département"
    r"|regi[óo]n|provincia|estado|departamento|comunidad autónoma|regi[ãa]o|distrito|regione"
    r"|regio|provincie"
    r"|województwo|prowincja|регион|область|край|штат|bölge|eyalet|il|地区|地區|省|州|省份|省/州|地域|県|都道府県"
    r"|지역|주|도|المنطقة|الولاية|المحافظة|क्षेत्र|राज्य|प्रांत"
)
COUNTRY: Final = (
    r"country(?:[/ ]*(?:or )?territory)?|nation|staat|land|pays|pa[íi]s|paese|nazione|kraj"
    r"|państwo|страна|ülke"
    r"|国家|國家|国|國|国名|국가|나라|البلد|الدولة|الدوله|देश"
)
PLACE: Final = (
    r"(?:location|place|address|place name|ort|lieu|lugar|luogo|standort|地点|場所|위치|الموقع"
    r"|स्थान)"
)

HEMISPHERES: Final = {
    "N": (
        r"north(?:ern)?|nord|nördlich(?:er?)?|norte|noorder(?:breedte)?|noord(?:en|elijke?)?"
        r"|nb|północ\w{0,3}|sjevern\w{1,3}|severn\w{1,3}|nordlig\w?"
        r"|севе\w{1,7}|с\.? ?ш|kuzey\w{0,2}|北纬|北緯|北|북위|북|شمال(?:ا|ي|ية)?|उत्तर[ी]?|n\. ?br"
    ),
    "S": (
        r"south(?:ern)?|sud|süd|südlich(?:er?)?|sur|sul|zuider(?:breedte)?|zuid(?:en"
        r"|elijke?)?|zb|połud\w{2,6}|južn\w{1,3}|jižní\w?|sydlig\w?|sørlig\w?"
        r"|юж\w{2,4}|юг|ю\.? ?ш|güney\w{0,2}|南纬|南緯|南|남위|남|جنوب(?:ا|ي|ية)?|दक्षिण[ी]?|s\. ?br"
    ),
    "E": (
        r"east(?:ern)?|ost|östlich(?:er?)?|est|este|leste|ooster(?:lengte)?|oost(?:en|elijke?)?|ol"
        r"|istočn\w{1,3}|východní\w?|østlig\w?|östlig\w?"
        r"|wsch(?:ód|odni\w{0,2})?|вост\w{2,6}|в\.? ?д|doğu\w{0,2}|东经|東經|東経|东|東|동경|동"
        r"|شرق(?:ا|ي|ية)?|पूर्व[ी]?|ö\. ?l"
    ),
    "W": (
        r"west(?:ern)?|westlich(?:er?)?|ouest|oeste|ovest|wester(?:lengte)?|westen|westelijke?|wl"
        r"|zapadn\w{1,3}|západní\w?|vestlig\w?|västlig\w?"
        r"|zach(?:ód|odni\w{0,2})?|зап\w{2,5}|з\.? ?д|batı\w{0,2}|西经|西經|西経|西|서경|서"
        r"|غرب(?:ا|ي|ية)?|पश्चिम[ी]?|w\. ?l"
    ),
}
HEMISPHERE_PHRASES: Final = {
    "N": (
        r"northern hemisphere|north of the equator|above the equator|nordhalbkugel|hémisphère nord"
        r"|hemisferio norte|hemisfério norte|emisfero (?:nord|boreale|settentrionale)"
        r"|noordelijk halfrond|северн\w{1,3} полушари\w|północn\w{1,3} półkul\w{1,2}"
        r"|kuzey yarım ?küre\w{0,3}|北半球|북반구"
    ),
    "S": (
        r"southern hemisphere|south of the equator|below the equator|südhalbkugel|hémisphère sud"
        r"|hemisferio sur|hemisfério sul|emisfero (?:sud|australe|meridionale)"
        r"|zuidelijk halfrond|южн\w{1,3} полушари\w|południow\w{1,3} półkul\w{1,2}"
        r"|güney yarım ?küre\w{0,3}|南半球|남반구"
    ),
    "E": r"eastern hemisphere|east of (?:greenwich|the prime meridian)|东半球|東半球",
    "W": r"western hemisphere|west of (?:greenwich|the prime meridian)|西半球",
}
"""Hemispheres as whole phrases, that may speak of one number or of a pair."""
SIGN_WORDS: Final = (
    r"minus|negative|neg|moins|négati(?:f|ve)|menos|negativ[oa]?|meno|минус|eksi|负|負|マイナス"
    r"|마이너스|سالب|ऋण"
)
NOT: Final = (
    r"not|n't|never|cannot be|can't be|rather than|instead of|as opposed to|nicht|keineswegs|statt|anstatt"
    r"|pas|plutôt que|au lieu de|en vez de|em vez de|não|non|invece di|niet|не|вместо|değil|不是|而不是"
)

TURKISH_LETTERS: Final = {"K": "N", "G": "S", "D": "E", "B": "W"}

# "est" is French and Italian for "is": in front of a number it is no hemisphere. Nor are the
# abbreviations, that only ever follow.
HEMISPHERES_BEFORE: Final = (
    "north|northern|nord|norte|noord|south|southern|süd|sud|sur|sul|zuid|east|eastern|ost|oost|este|leste|west|western"
    "|ouest|oeste|ovest|kuzey|güney|doğu|batı|北纬|北緯|南纬|南緯|东经|東經|東経|西经|西經|西経"
    "|북위|남위|동경|서경|شمال|جنوب|شرق|غرب|उत्तर|दक्षिण|पूर्व|पश्चिम|север|юг|восток|запад"
)

# "O" is Ost to a German and Ouest, Oeste or Ovest to everybody around the Mediterranean.
EASTERN_O: Final = pattern(
    r"\b(?:ost|östlich\w{0,2}|süd|breite|breitengrad|länge|längengrad|und|der|das|ist|die|grad"
    r"|koordinaten|stadt|deutschland|österreich|schweiz)\b"
)
WESTERN_O: Final = pattern(
    r"\b(?:latitud|longitud|latitudine|longitudine|norte|sur|sul|oeste|ouest|ovest|et|les?|el|los"
    r"|las?|une?|uma|do|dos|das|na|não|com|em|perto|localização|ubicación|se|por|del|della|della|il|ville|pays|ciudad|pa[íi]s|cidade|citt[àa]|paese|coordonn[ée]es"
    r"|coordenadas|coordinate|environ|y|leste|en|está|aproximadamente|près|lugar|foto|cerca|france|españa|portugal|italia|brasil)\b"
)

FILLER_WORDS: Final = (
    "is|are|was|of|at|be|would|could|to|equals|about|around|approximately|approx|roughly|circa|ca"
    "|estimated|estimate|estimation|near|nearly|value|my|the|this|that|in|decimal|degrees?|dd|wgs84"
    "|location|photo|image|place|scene|coordinate|coordinates|best|guess|likely|probably|lies|here"
    "|geographical|geographic|final|answer|or|north|south|northern|southern|eastern|western|hemisphere"
    "|nord|norte|sud|süd|sur|sul|ouest|oeste|ovest|noord|zuid|n|s|w"
    "|ist|beträgt|beträgt|etwa|ungefähr|rund|liegt|bei|ca|dezimalgrad"
    "|est|environ|de|d'environ|approximativement|la|le|du|lieu|degrés|décimaux"
    "|es|aproximadamente|unos|cerca|grados|decimales|é|è|di|da|del|circa|gradi|decimali|graus"
    "|ongeveer|ligt|op|geograficzna|geogr|około|wynosi|ok|to|jest|географическая|примерно|около"
    "|составляет|равна|yaklaşık|olarak|为|是|约|大约|約|は|およそ|の|는|은|약|대략|هو|هي|حوالي|تقريبا"
    "|है|लगभग|east|west"
)
BETWEEN: Final = (
    "between|from|entre|zwischen|von|tra|fra|tussen|między|od|между|от|arasında|介于|在|から|بين"
)
AND: Final = "and|und|et|y|e|en|i|и|ve|by|和|及|と|및|و"
RANGE_JOINT: Final = (
    r"-|–|to|through|until|till|or|bis|oder|à|ou|a|al|o|hasta|até|tot|do|lub|до|или|ile|veya"
    r"|~|\.{2,3}|…|到|至|から|إلى"
)
UNKNOWN: Final = (
    r"n/?a|unknown|none|null|nil|nan|undefined|undetermined|undeterminable|indeterminate|unspecified"
    r"|not (?:available|applicable|known|sure|determinable|determined|provided|specified|visible"
    r"|possible|enough|identifiable)|cannot|can't|unable|unclear|uncertain|tbd|unbekannt|inconnue?"
    r"|desconocid[oa]|desconhecid[oa]|sconosciut[oa]|onbekend|nieznan[aey]|неизвестно|неизвестна"
    r"|bilinmiyor|未知|不明|不详|不詳|알 ?수 ?없음|미상|غير معروف|अज्ञात"
)

DEGREE_MARK: Final = (
    r"°|degrees?|deg\.?|d(?=[ \d])|grad|graden|graad|gradi|grado|grados|graus?|degrés?|stop(?:ni|nie"
    r"|ień)|градус(?:ов|а|ы)?|derece|度|도|درجة|डिग्री"
)
MINUTE_MARK: Final = (
    r"'(?!')|minut(?:es?|en?|os?|i|y|a)?\.?|min\.?|m(?=[ \d])|primi|минут[аы]?|dakika"
    r"|分|분|دقيقة|मिनट"
)
SECOND_MARK: Final = (
    r"\"|''|sec(?:onds?|ondi|ondes?)?\.?|segundos?|sekund(?:en?|y|a)?|seconden|секунд[аы]?|saniye"
    r"|(?-i:s)(?![a-z])|秒|초|ثانية|सेकंड"
)

_CODES: Final = {
    code: pattern(f"{words}|{HEMISPHERE_PHRASES[code]}") for code, words in HEMISPHERES.items()
}


@lru_cache(maxsize=256)
def hemisphere_code(word: str) -> str:
    """`N`, `S`, `E`, `W`, or `O` where the letter alone doesn't tell east from west."""
    upper = word.upper()
    if upper in {"N", "S", "E", "W", "O"}:
        return upper
    folded = word.lower().rstrip(".")
    return next((code for code, words in _CODES.items() if words.fullmatch(folded)), "")
