"""Data sets that mean harm, through every source and every command that reads photos.

Every odd photo is asked about, every broken one is an `image_error`, no file beside the data set is read or
written, and no command shows a traceback. Trainings learn from the same photos, and count the others as lost.
The app shows each as a picture or with a reason.
"""

import csv
import hashlib
import io
import json
import os
import random
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from geospot.evaluation.results import read_records
from geospot.outcomes import Outcome
from tests.drills.drill import Attempt, Session, Trial, drill
from tests.drills.hostile_photos import BROKEN, EITHER, READABLE
from tests.drills.hostile_trainings import trainings, wrongly_shown, wrongly_trained
from tests.support.evaluating import cold_geospot, records
from tests.support.hub_server import Repo, serving
from tests.support.learning import embedded_url
from tests.support.parquet import write_parquet
from tests.support.photos import make_photo
from tests.support.vlm_server import Asked, Behaviour, VlmServer

_LONG_CELL: Final = 10_000_000
_ODD_CELLS: Final = (
    'a "quoted", cell',
    "line\nbreak",
    "=1+1",
    "\ufeffBOM",
    "caf\u00e9 \u202e",
    "x\x1b[31m",
)
_TWICE: Final = "plain0"
"""An id that two rows have, in every source."""
_MIXED: Final = 0.25
"""How often a table has a byte that is no UTF-8; it has to be refused then."""
_LATIN: Final = "M\xfcnchen".encode("latin-1")
_LIMIT_S: Final = 300.0


@dataclass
class _Set:
    """A data set as it was dealt: what each id has to come to, and what must never be read."""

    spec: str
    asked: dict[str, bytes] = field(default_factory=dict[str, bytes])
    """Photos that have to be asked about."""
    refused: set[str] = field(default_factory=set[str])
    once: set[str] = field(default_factory=set[str])
    """What stands there twice, and has one record, whatever it says."""
    env: dict[str, str] = field(default_factory=dict[str, str])
    is_readable: bool = True
    """False: the whole set has to be refused, with a sentence."""


@dataclass(frozen=True)
class _Dealt:
    """Photos by id, and those outside of the data set that no path may lead to."""

    good: dict[str, bytes]
    bad: dict[str, bytes]
    either: dict[str, bytes]
    secret: Path

    @property
    def photos(self) -> dict[str, bytes]:
        return self.good | self.bad | self.either

    def as_set(self, spec: Path | str, *, is_readable: bool = True, **env: str) -> _Set:
        asked = {id_: photo for id_, photo in self.good.items() if id_ != _TWICE}
        once = {_TWICE}  # which of its two rows counts is the reader's to say
        return _Set(str(spec), asked, set(self.bad), once, env, is_readable)


def _deal(chance: random.Random, folder: Path) -> _Dealt:
    secret = folder / "secret.jpg"
    secret.write_bytes(make_photo(f"secret {chance.random()}"))
    plain = {f"plain{n}": make_photo(str(chance.random())) for n in range(4)}
    odd = {f"odd{n}": make(chance) for n, make in enumerate(READABLE.values())}
    bad = {f"bad{n}": make(chance) for n, make in enumerate(BROKEN.values())}
    either = {f"either{n}": make(chance) for n, make in enumerate(EITHER.values())}
    return _Dealt(plain | odd, bad, either, secret)


def _osv5m(dealt: _Dealt, root: Path, chance: random.Random) -> _Set:
    """A CSV of quotes, NULs, no UTF-8, a giant cell, ids that are there twice; a zip of traps."""
    images = root / "images" / "test"
    images.mkdir(parents=True)
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["id", "latitude", "longitude", "country", "city", "region"])
    for n, id_ in enumerate(dealt.photos):
        writer.writerow([id_, 10 + n, 20 - n, "DE", _ODD_CELLS[n % len(_ODD_CELLS)], "r"])
    writer.writerow(["../../secret", 1.5, 2.5, "DE", "c", "r"])
    writer.writerow([str(dealt.secret.with_suffix("")), 1.5, 2.5, "DE", "c", "r"])
    for trap in ("evil", "../evil", "../../../evil", str(root.parent / "evil")):
        writer.writerow([trap, 1.5, 2.5, "DE", "c", "r"])
    mixed = chance.random() < _MIXED
    data = out.getvalue().encode() + b"nul,1.5,2.5,D\x00E,a\x00b,r\n"
    data += (b"latin,1.5,2.5,DE," + _LATIN + b",r\n") * mixed
    data += f"{_TWICE},3.5,4.5,DE,c,r\n".encode()
    data += b'giant,1.5,2.5,DE,"' + b"y" * _LONG_CELL + b'",r\nnowhere,NaN,1e999,DE,c,r\n'
    (root / "test.csv").write_bytes(data)
    with zipfile.ZipFile(images / "00.zip", "w") as archive:
        for id_, photo in dealt.photos.items():
            archive.writestr(f"00/{id_}.jpg", photo)
        for name in (
            "../../../evil.jpg",
            str(root.parent / "evil.jpg"),
            "00/../evil.jpg",
            "00\\..\\evil.jpg",
        ):
            archive.writestr(name, make_photo("evil"))
        archive.writestr("00/latin.jpg", make_photo("latin"))
    return dealt.as_set(root, is_readable=not mixed)


def _rows(dealt: _Dealt, paths: dict[str, str], mixed: bool, *more: str) -> bytes:
    """A CSV of photos, of paths that lead out, of one photo twice; some say München in another encoding."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["file_name", "latitude", "longitude", "city"])
    for n, path in enumerate(paths.values()):
        writer.writerow([path, 10 + n, 20 - n, _ODD_CELLS[n % len(_ODD_CELLS)]])
    outside = ("../secret.jpg", str(dealt.secret), f"file://{dealt.secret}")
    for path in (*outside, paths[_TWICE], "a\x00b.jpg", "", *more):
        writer.writerow([path, 1.5, 2.5, "c"])
    writer.writerow(["giant.jpg", 1.5, 2.5, "y" * _LONG_CELL])
    return out.getvalue().encode() + (b"latin.jpg,1.5,2.5," + _LATIN + b"\n") * mixed


def _folder(dealt: _Dealt, root: Path, chance: random.Random) -> _Set:
    """A folder of photos and a metadata.csv that points out of it; links, too."""
    mixed = chance.random() < _MIXED
    for id_, photo in dealt.photos.items():
        (root / f"{id_}.jpg").write_bytes(photo)
    (root / "link.jpg").symlink_to(dealt.secret)
    os.mkfifo(root / "pipe.jpg")
    (root / "folder.jpg").mkdir()
    odd = {"link", "pipe", "folder"}
    names = {id_: f"{id_}.jpg" for id_ in dealt.photos}
    rows = _rows(dealt, names, mixed, *(f"{name}.jpg" for name in sorted(odd)))
    (root / "metadata.csv").write_bytes(rows)
    made = dealt.as_set(root, is_readable=not mixed)
    made.refused |= odd
    return made


def _table(dealt: _Dealt, root: Path, chance: random.Random) -> _Set:
    """A table of one's own, as CSV or JSON Lines."""
    (root / "p").mkdir()
    for id_, photo in dealt.photos.items():
        (root / "p" / f"{id_}.jpg").write_bytes(photo)
    names = {id_: f"p/{id_}.jpg" for id_ in dealt.photos}
    mixed = chance.random() < _MIXED
    if chance.random() < 0.5:
        path = root / "rows.csv"
        path.write_bytes(b"image" + _rows(dealt, names, mixed).removeprefix(b"file_name"))
        return dealt.as_set(path, is_readable=not mixed)
    path = root / "rows.jsonl"
    lines = [
        json.dumps(
            {
                "id": id_,
                "image": name,
                "lat": 10 + n,
                "lng": 20 - n,
                "city": "z" * (_LONG_CELL if not n else 5),
            }
        )
        for n, (id_, name) in enumerate(names.items())
    ]
    lines += [
        json.dumps({"id": id_, "image": name, "lat": 1.5, "lng": 2.5})
        for id_, name in (
            ("../secret.jpg", "../secret.jpg"),
            (str(dealt.secret), str(dealt.secret)),
            (_TWICE, names[_TWICE]),
        )
    ]
    latin = (
        b'{"id": "latin", "image": "p/plain1.jpg", "lat": 1, "lng": 2, "city": "' + _LATIN + b'"}\n'
    )
    path.write_bytes("\n".join(lines).encode() + b"\n" + latin * mixed)
    return dealt.as_set(path, is_readable=not mixed)


def _tars(dealt: _Dealt, root: Path, chance: random.Random) -> _Set:
    """Tars with members named `..` and absolute, and links to what lies outside."""
    del chance
    with tarfile.open(root / "test-000.tar", "w") as tar:

        def add(name: str, data: bytes, kind: bytes = tarfile.REGTYPE, link: str = "") -> None:
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname = len(data), kind, link
            tar.addfile(info, io.BytesIO(data))

        for n, (id_, photo) in enumerate(dealt.photos.items()):
            add(f"{id_}.jpg", photo)
            add(f"{id_}.json", json.dumps({"lat": 10 + n, "lng": 20 - n}).encode())
        place = json.dumps({"lat": 1.5, "lng": 2.5}).encode()
        for name in ("../evil", str(root.parent / "evil")):
            add(f"{name}.jpg", make_photo(name))
            add(f"{name}.json", place)
        add(f"{_TWICE}.jpg", dealt.photos[_TWICE])
        add(f"{_TWICE}.json", place)
        add("latin.jpg", make_photo("latin"))
        add("latin.json", b'{"lat": 1.5, "lng": 2.5, "city": "' + _LATIN + b'"}')
        add("linked.jpg", b"", tarfile.SYMTYPE, str(dealt.secret))
        add("linked.json", place)
        add("giant.jpg", make_photo("giant"))
        add("giant.json", json.dumps({"lat": 1.5, "lng": 2.5, "city": "y" * _LONG_CELL}).encode())
        add("deep.jpg", make_photo("deep"))
        add("deep.json", b"[" * 100_000)
    return dealt.as_set(root)


def _hub_files(dealt: _Dealt, root: Path) -> Repo:
    photos: list[Any] = [
        {"bytes": data, "path": f"../{id_}.jpg"} for id_, data in dealt.photos.items()
    ]
    photos += [{"bytes": None, "path": "../secret.jpg"}, {"bytes": None, "path": str(dealt.secret)}]
    photos.append(photos[0])
    count = len(photos)
    columns = {
        "id": [*dealt.photos, "outside0", "outside1", next(iter(dealt.photos))],
        "image": photos,
        "lat": [float(10 + n) for n in range(count)],
        "lng": [float(20 - n) for n in range(count)],
        "city": ["y" * _LONG_CELL, *(_ODD_CELLS[n % len(_ODD_CELLS)] for n in range(count - 1))],
    }
    path = write_parquet(root / "test-00000-of-00001.parquet", columns)
    return Repo({"data/test-00000-of-00001.parquet": path})


Build = Callable[[_Dealt, Path, random.Random], _Set]
_SOURCES: Final[dict[str, Build]] = {
    "osv5m": _osv5m,
    "folder": _folder,
    "table": _table,
    "tars": _tars,
}


@drill("hostile photos and rows, through each source and command", times=60, short=1)
def hostile_data(session: Session) -> Iterator[Trial]:
    """Deals a data set a trial, and has `eval`, `data check`, `predict`, `sft` and `rl` read it.

    The short form has `eval` alone, and the app.
    """
    with ExitStack() as stack:
        url = ""
        if not session.is_short:
            url = stack.enter_context(embedded_url(session.folder / "state"))
        yield from session.repeat(lambda attempt: _one(attempt, url))


def _one(attempt: Attempt, service: str) -> Trial:
    """A data set, through one of the sources; trained on at a service, where there is one."""
    sources = [*_SOURCES, "hub"]
    source = sources[attempt.number % len(sources)]
    dealt = _deal(attempt.chance, attempt.folder)
    root = attempt.folder / "set"
    root.mkdir()
    if source != "hub":
        made = _SOURCES[source](dealt, root, attempt.chance)
        return _tried(attempt, dealt, made, source, service)
    with serving({"some/photos": _hub_files(dealt, root)}) as server:
        made = dealt.as_set(
            "some/photos", HF_ENDPOINT=server.url, HF_HOME=str(attempt.folder / "hf")
        )
        made.refused |= {"outside0", "outside1"}
        return _tried(attempt, dealt, made, source, service)


def _answer(_: Asked) -> Behaviour:
    return Behaviour(text="52.5, 13.4")


def _tried(attempt: Attempt, dealt: _Dealt, made: _Set, source: str, service: str) -> Trial:
    env = {"GEOSPOT_CACHE": str(attempt.folder / "cache"), **made.env}
    before = _files(attempt.folder)
    out, runs = attempt.folder / "out", attempt.folder / "runs"
    lost: list[str] = []
    with VlmServer(_answer) as server:
        ask = ("--backend", "openai", "--base-url", server.base_url, "--model", "some-vlm")
        commands: dict[str, list[str]] = {
            "eval": ["eval", *ask, "--dataset", made.spec, "--limit", "all", "--out", str(out)]
        }
        if service:
            commands["data check"] = ["data", "check", made.spec, "--split", "test"]
            commands |= trainings(service, made.spec, runs)
            if source == "folder":
                photos = [str(Path(made.spec) / f"{id_}.jpg") for id_ in dealt.photos]
                commands["predict"] = ["predict", *photos, *ask, "--json"]
        for name, command in commands.items():
            ended = cold_geospot(*command, env=env, timeout_s=_LIMIT_S)
            said = ended.stdout + ended.stderr
            lost += [f"{name}: {wrong}" for wrong in _unfit(ended.returncode, said)]
            if (ended.returncode in (0, 3)) != made.is_readable:
                lost.append(f"{name}: exit code {ended.returncode}: {said[-500:]}")
        if secret := server.log.per_image[hashlib.sha256(dealt.secret.read_bytes()).hexdigest()]:
            lost.append(f"a photo outside of the data set was sent {secret} times")
    if made.is_readable:
        lost += _unlike(made, out)
    if made.is_readable and service:
        lost += wrongly_trained(runs, made.asked, made.refused, dealt.secret.read_bytes())
    lost += wrongly_shown(dealt.photos, attempt.folder)
    new = [str(path) for path in _files(attempt.folder) - before if "evil" in path.name]
    lost += [f"{path} was written" for path in new]
    what = f"{source}: {len(dealt.photos)} photos, {', '.join(commands)}"
    return Trial(what, lost=tuple(lost))


def _unfit(code: int, said: str) -> Iterator[str]:
    if "Traceback (most recent call last)" in said:
        yield f"a traceback: {said[-1500:]}"
    if code not in (0, 1, 2, 3):
        yield f"exit code {code}: {said[-500:]}"
    if "<_io.BytesIO" in said:
        yield "an address of this process is shown for a reason"
    if "\x1b[31m" in said or "\u202e" in said:
        yield "a cell of the data set reached the terminal as it was"


def _unlike(made: _Set, out: Path) -> Iterator[str]:
    """Which samples didn't come to what they had to."""
    found = {Path(id_).stem: record for id_, record in records(out).items()}
    for id_ in made.asked:
        outcome = found[id_].outcome if id_ in found else None
        if outcome is not Outcome.OK:
            why = found[id_].error if id_ in found else "no record"
            yield f"{id_} could be asked about, and is {outcome}: {why}"
    times = Counter(Path(record.id).stem for record in read_records(out / "samples.jsonl"))
    yield from (f"{id_} has {times[id_]} records" for id_ in made.once if times[id_] != 1)
    for id_ in made.refused:
        outcome = found[id_].outcome if id_ in found else None
        if outcome is not Outcome.IMAGE_ERROR:
            yield f"{id_} is no photo, and is {outcome}"


def _files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}
