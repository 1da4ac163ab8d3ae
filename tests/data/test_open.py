"""The front door: what a spec means, and what is said where it means nothing."""

import os
import tempfile
from pathlib import Path

import pytest

from geospot.data import open_dataset
from geospot.data.open import default_cache_dir, expand_pattern
from geospot.errors import DataError, TooManyFilesError, UsageError
from tests.support.hub_server import serving
from tests.support.osv_tree import make_osv_tree
from tests.support.photos import make_photo
from tests.support.tars import write_tar


@pytest.fixture
def tars(tmp_path: Path) -> Path:
    """A folder with shards of train and test."""
    for split, count in (("train", 3), ("test", 2)):
        for number in range(count):
            key = f"{split}{number}"
            write_tar(
                tmp_path / "shards" / f"{split}-{number:03d}.tar",
                [(f"{key}.jpg", make_photo(key)), (f"{key}.json", {"lat": 1, "lng": 2})],
            )
    return tmp_path / "shards"


def test_tars_by_folder_pattern_and_braces(tars: Path) -> None:
    train = ["train0", "train1", "train2"]

    assert open_dataset(str(tars), "train").table.ids == train
    assert open_dataset(str(tars), "test").table.ids == ["test0", "test1"]
    assert open_dataset(f"{tars}/train-*.tar").table.ids == train
    assert open_dataset(f"{tars}/train-{{000..002}}.tar").table.ids == train
    assert open_dataset(f"{tars}/{{train,test}}-000.tar").table.ids == ["test0", "train0"]
    assert open_dataset(f"{tars}/train-001.tar").table.ids == ["train1"]
    with pytest.raises(DataError, match=r"no split 'val'.*train, test"):
        open_dataset(str(tars), "val")


def test_tars_in_a_folder_of_the_split_and_tars_of_no_split(tmp_path: Path) -> None:
    members = [("a.jpg", b"x"), ("a.json", b'{"lat": 1, "lng": 2}')]
    write_tar(tmp_path / "one" / "test" / "0.tar", members)
    write_tar(tmp_path / "two" / "0.tar", members)

    assert open_dataset(str(tmp_path / "one")).table.ids == ["a"]
    assert open_dataset(str(tmp_path / "one")).name == "one"
    assert open_dataset(str(tmp_path / "two")).name == "two"


def test_a_hole_in_a_brace_pattern_is_an_error(tars: Path) -> None:
    with pytest.raises(DataError, match=r"train-003\.tar isn't there"):
        open_dataset(f"{tars}/train-{{000..003}}.tar")


def test_absurd_braces_are_refused() -> None:
    with pytest.raises(UsageError, match="more than a million"):
        expand_pattern("x-{0..99999999}.tar")


def test_braces_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geospot.data.open._MOST_NAMES", 100)
    assert expand_pattern("no-{0..9}{0..9}*.tar") == []
    with pytest.raises(UsageError, match="more than a million"):
        expand_pattern("no-{0..9}{0..9}{0,1}*.tar")


@pytest.mark.parametrize(
    ("pattern", "compared"),
    [
        ("train-00{0..2}.tar", 3),  # three names, looked up
        ("train-*.tar", 1 + 5),  # a name, with those of the five tars
        ("{train,test}-*.tar", 2 * (1 + 5)),
        ("../*/*.tar", 1 + 1 + 5),  # with the folder of the tars, and with them
        ("**/*.tar", 1 + 5),
        ("{**}", 1 + 5),
    ],
)
def test_what_a_pattern_is_compared_with_has_a_bound(
    tars: Path, pattern: str, compared: int
) -> None:
    assert expand_pattern(f"{tars}/{pattern}", compared)
    with pytest.raises(TooManyFilesError, match=f"More than {compared - 1} files"):
        expand_pattern(f"{tars}/{pattern}", compared - 1)


def test_a_link_below_a_pattern_counts_with_what_is_behind_it(tars: Path) -> None:
    inside = tars.parent / "inside"
    inside.mkdir()
    (inside / "out").symlink_to(tars)
    assert len(expand_pattern(f"{inside}/*/*.tar", 7)) == 5
    with pytest.raises(TooManyFilesError):
        expand_pattern(f"{inside}/*/*.tar", 6)


def test_a_split_out_of_the_folder_is_counted_too(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.jpg").write_bytes(make_photo("a"))
    for number in range(10):
        (tmp_path / f"{number}.txt").touch()
    open_dataset(str(tmp_path / "data"), most_files=1)
    with pytest.raises(TooManyFilesError):
        open_dataset(str(tmp_path / "data"), "../../" + tmp_path.name, most_files=10)


@pytest.mark.parametrize("mode", [0o000, 0o444])
def test_a_folder_that_is_anothers_is_one_sentence(mode: int) -> None:
    nobody = 65534
    with tempfile.TemporaryDirectory() as folder:  # tmp_path is below others that are nobody's, too
        (Path(folder) / "test.csv").write_text("path,lat,lon\nx.jpg,1,2\n")
        Path(folder).chmod(mode)
        before = os.geteuid()
        try:
            if before == 0:
                os.seteuid(nobody)
            with pytest.raises(DataError, match=r"can't be read \(Permission denied\)"):
                open_dataset(folder, "test")
        finally:
            os.seteuid(before)
            Path(folder).chmod(0o700)


def test_a_split_of_photos_is_never_made_of_another_split_s_table(tmp_path: Path) -> None:
    """Photos beside test.csv are not a train split just because they have EXIF."""
    (tmp_path / "x.jpg").write_bytes(make_photo("x", gps=(1.0, 2.0)))
    (tmp_path / "test.csv").write_text("path,lat,lon\nx.jpg,1,2\n")

    assert open_dataset(str(tmp_path), "test").table.ids == ["x.jpg"]
    with pytest.raises(DataError, match=r"no split 'train'.*test"):
        open_dataset(str(tmp_path), "train")


def test_a_table_in_the_shape_of_osv5m_is_still_a_table(tmp_path: Path) -> None:
    (tmp_path / "images" / "test").mkdir(parents=True)
    (tmp_path / "images" / "test" / "x.jpg").write_bytes(make_photo("x"))
    (tmp_path / "test.csv").write_text("path,lat,lon\nimages/test/x.jpg,1,2\n")

    dataset = open_dataset(str(tmp_path))

    assert dataset.read_image(dataset.table[0]) == make_photo("x")


def test_columns_are_refused_where_there_are_none_to_choose(tmp_path: Path) -> None:
    make_osv_tree(tmp_path / "osv", images=4)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "x.jpg").write_bytes(make_photo("x", gps=(1.0, 2.0)))

    for spec in ("world", "world:size=5", "osv5m/osv5m", f"{tmp_path}/osv", f"{tmp_path}/photos"):
        with pytest.raises(UsageError, match=r"can't be used with it\. Leave --columns out"):
            open_dataset(spec, columns={"latitude": "lat"}, cache_dir=tmp_path / "cache")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("phots", r"no data set 'phots'.*Did you mean .*photos\?"),
        ("phots/deep/x.csv", r"Did you mean .*photos\?"),
        ("photos/tset.csv", r"Did you mean .*test\.csv\?"),
        ("qqq", "A data set is one of: world"),
        ("", "no data set ''"),
        ("no/such/path/at/all", "no data set"),
        ("nothing-*.tar", "no data set"),
        ("https://example.org/x.tar", "no data set"),
        ("nul\0", "no data set"),
        ("x" * 300, "no data set"),
        ("~nobody-at-home/photos", "no data set"),
    ],
)
def test_a_spec_that_is_nothing_gets_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str, message: str
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "test.csv").write_text("path,lat,lon\n")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(DataError, match=message):
        open_dataset(spec)


def test_a_slip_in_a_path_that_looks_like_a_hub_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos" / "spring").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with serving({}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        with pytest.raises(DataError, match=r"No sprnig is in the folder photos here either\."):
            open_dataset("photos/sprnig", cache_dir=tmp_path / "cache")


def test_a_single_photo_and_an_empty_folder_are_no_data_sets(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(make_photo("x"))
    (tmp_path / "empty").mkdir()

    with pytest.raises(DataError, match="geospot predict"):
        open_dataset(str(tmp_path / "x.jpg"))
    with pytest.raises(DataError, match="Found there: nothing"):
        open_dataset(str(tmp_path / "empty"))


def test_the_world_takes_its_seed_and_size() -> None:
    def fingerprint(spec: str) -> str:
        return open_dataset(spec, "train").select(None).fingerprint

    assert len(open_dataset("world:seed=3,size=7", "train").table) == 7
    assert fingerprint("world:seed=3,size=7") == fingerprint("world:size=7,seed=3")
    assert fingerprint("world:seed=3,size=7") != fingerprint("world:size=7")


@pytest.mark.parametrize("spec", ["world:size=x", "world:colour=3", "world:size", "world:seed=-1"])
def test_options_of_the_world_are_checked(spec: str) -> None:
    with pytest.raises(UsageError, match="world:seed=3,size=5000"):
        open_dataset(spec)


def test_the_cache_is_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("GEOSPOT_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert default_cache_dir() == tmp_path / ".cache" / "geospot"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    assert default_cache_dir() == tmp_path / ".cache" / "geospot"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache_dir() == tmp_path / "xdg" / "geospot"
    monkeypatch.setenv("GEOSPOT_CACHE", "~/mine")
    assert default_cache_dir() == tmp_path / "mine"
