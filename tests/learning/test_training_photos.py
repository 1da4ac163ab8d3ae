"""The photos that are trained on: how many, which ones, balanced by country, and put to the model."""

import io
import struct
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from geospot.config.learning import WORLD_PHOTOS, SFTConfig
from geospot.data import GeoSample, SampleTable, open_dataset
from geospot.data.selection import fingerprint
from geospot.errors import DataError, ImageError
from geospot.learning.photos import (
    country_numbers,
    open_training_data,
    question,
    read_photo,
)
from geospot.prompts import Prompt
from tests.support.photos import make_photo


def config(hf_repo: Path | str = "world", **more: Any) -> SFTConfig:
    return SFTConfig(hf_repo=str(hf_repo), **more)


def folder(root: Path, rows: int) -> Path:
    """A table of `rows` photos with a bad row at its end; the images themselves are not there."""
    lines = [f"{index}.jpg,{index},{-index},FR" for index in range(1, rows + 1)]
    root.mkdir(exist_ok=True)
    path = root / "photos.csv"
    path.write_text("\n".join(["file_name,lat,lon,country", *lines, "bad.jpg,95,0,FR"]) + "\n")
    return path


def test_max_samples_are_trained_on_and_the_next_are_held_out() -> None:
    data = open_training_data(config(max_samples=40, seed=5), held_out=8)
    nested = open_dataset("world", "train").select(48, 5).table.ids

    assert data.samples.ids == nested[:40]
    assert data.held_out.ids == nested[40:]
    assert data.fingerprint == fingerprint("world", "train", nested[:40], order="hash")
    assert data.strata is None


def test_what_is_held_out_never_changes_what_is_trained_on() -> None:
    with_some = open_training_data(config(max_samples=40), held_out=8)
    with_none = open_training_data(config(max_samples=40))

    assert with_some.samples.ids == with_none.samples.ids
    assert len(with_none.held_out) == 0


def test_the_world_is_as_large_as_is_asked_for() -> None:
    usual = open_training_data(config(), held_out=64)
    large = open_training_data(config(max_samples=WORLD_PHOTOS + 500), held_out=3)

    assert (len(usual.samples), len(usual.held_out)) == (10_000, 64)
    assert (len(large.samples), len(large.held_out)) == (10_500, 3)
    assert set(large.samples.ids).isdisjoint(large.held_out.ids)
    assert len(open_training_data(config("world:size=30")).samples) == 30


def test_a_small_data_set_gives_up_a_tenth_at_most(tmp_path: Path) -> None:
    path = folder(tmp_path, 25)

    everything = open_training_data(config(path))
    too_many = open_training_data(config(path, max_samples=1000), held_out=64)
    tight = open_training_data(config(path, max_samples=24), held_out=1)

    assert len(everything.samples) == 25
    assert (len(too_many.samples), len(too_many.held_out)) == (23, 2)
    assert (len(tight.samples), len(tight.held_out)) == (24, 1)
    assert set(too_many.samples.ids) | set(too_many.held_out.ids) == set(everything.samples.ids)


def test_columns_are_named_as_in_every_command(tmp_path: Path) -> None:
    path = tmp_path / "photos.csv"
    path.write_text("Bild,Breite,Länge\na.jpg,1.5,2.5\n")

    data = open_training_data(config(path, columns=["image=Bild,lat=Breite,lon=Länge"]))

    assert (data.samples[0].latitude, data.samples[0].longitude) == (1.5, 2.5)


def test_a_data_set_without_a_valid_row_is_refused_with_what_was_dropped(tmp_path: Path) -> None:
    path = folder(tmp_path, 0)

    with pytest.raises(DataError, match=r"no photo with valid coordinates.*1 out_of_range"):
        open_training_data(config(path))


def test_countries_are_numbered_by_code_whatever_the_label_says() -> None:
    places = [
        ("a", 48.85, 2.35, "France"),
        ("b", 52.52, 13.4, "DE"),
        ("c", 43.3, 5.37, "fr"),
        ("d", 52.5, 13.5, None),
        ("e", 45.46, 9.19, "Atlantis"),
    ]
    table = SampleTable.from_samples(
        [GeoSample(name, lat, lon, name, country=country) for name, lat, lon, country in places]
    )

    germany, france, italy = 0, 1, 2
    assert country_numbers(table).tolist() == [france, germany, france, germany, italy]


def test_balanced_data_draws_countries_evenly_and_says_so_only_if_asked() -> None:
    plain = open_training_data(config(max_samples=400))
    balanced = open_training_data(config(max_samples=400, balance_by_country=True))
    countries = [sample.country for sample in balanced.samples]
    largest = Counter(countries).most_common(1)[0][1]

    draws = balanced.order(seed=0).batch(0, 6 * len(set(countries)))
    drawn = Counter(countries[index] for index in draws)

    assert largest > 10
    assert set(drawn.values()) == {6}
    assert sorted(plain.order(seed=0).batch(0, 400)) == list(range(400))
    assert balanced.samples.ids == plain.samples.ids


def test_a_photo_is_read_without_where_it_was_taken(tmp_path: Path) -> None:
    path = folder(tmp_path, 12)
    data = open_training_data(config(path))
    samples = {sample.image: sample for sample in data.samples}
    (tmp_path / "1.jpg").write_bytes(make_photo("one", size=(300, 200), gps=(1.0, -1.0)))

    whole, small = (read_photo(data.dataset, samples["1.jpg"], size) for size in (None, 96))

    with Image.open(io.BytesIO(whole.data)) as image:
        assert (image.size, dict(image.getexif())) == ((300, 200), {})
    assert (small.width, small.height) == (96, 64)
    with pytest.raises(ImageError):
        read_photo(data.dataset, samples["2.jpg"], None)
    data.close()


def test_a_photo_whose_pixels_are_broken_is_none(tmp_path: Path) -> None:
    """Its head is sound, and nothing is cut away; a service would refuse the batch that it is in."""
    data = open_training_data(config(folder(tmp_path, 12)))
    sample = next(sample for sample in data.samples if sample.image == "1.jpg")
    whole = io.BytesIO()
    Image.effect_noise((60, 40), 80).convert("RGB").save(whole, "PNG")
    head = whole.getvalue()[:33]  # the signature and IHDR
    parts = [(b"IDAT", zlib.compress(bytes(181 * 40))[:8] + b"\xff" * 40), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in parts
    ]
    (tmp_path / "1.jpg").write_bytes(head + b"".join(chunks))
    with pytest.raises(ImageError, match="can't be decoded"):
        read_photo(data.dataset, sample, 512)
    data.close()


def test_the_question_is_the_photo_and_then_the_prompt() -> None:
    dataset = open_dataset("world", "train")
    photo = read_photo(dataset, dataset.table[0], None)

    messages = question(Prompt("own", "Where?", "You are a guide."), photo)

    assert messages[0] == {"role": "system", "content": "You are a guide."}
    assert messages[1]["content"] == [
        {"type": "image", "image": photo},
        {"type": "text", "text": "Where?"},
    ]
    assert [message["role"] for message in question(Prompt("own", "Where?"), photo)] == ["user"]


def test_every_country_of_the_world_has_its_number() -> None:
    data = open_training_data(config(max_samples=300, balance_by_country=True))
    assert data.strata is not None
    by_number = {
        number: {s.country for s, n in zip(data.samples, data.strata, strict=True) if n == number}
        for number in np.unique(data.strata)
    }
    assert all(len(countries) == 1 for countries in by_number.values())
