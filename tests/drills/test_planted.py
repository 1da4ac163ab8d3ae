"""What is planted is found again, wherever it comes out; or the drill of secrets would prove nothing."""

import base64
import http.client
import re

import pytest

from geospot.images import prepare_image
from tests.drills.listening import Ear, telltale
from tests.drills.planted import KEYS, leaks, planted_photos, unspelled, without_headers_of
from tests.drills.secret_cases import Urls, all_commands, all_steps

PHOTOS = planted_photos()
URLS = Urls(*(f"http://127.0.0.1:{port}" for port in range(8)))


@pytest.mark.parametrize("name", PHOTOS)
def test_a_photo_that_leaves_as_it_is_is_found(name: str) -> None:
    photo = PHOTOS[name]
    assert leaks("a body", b"head" + photo)
    assert leaks("a page", b'src="data:image/jpeg;base64,' + base64.b64encode(photo) + b'"')
    assert not leaks("a body", prepare_image(photo).data)
    assert not leaks("a body", base64.b64encode(prepare_image(photo, 64).data))


def test_each_spelling_of_the_place_is_planted() -> None:
    assert not unspelled()


def test_a_key_is_at_home_in_its_own_header_alone() -> None:
    key = KEYS["MY_OWN_KEY"].encode()
    head = b"POST / HTTP/1.1\r\nHost: x\r\nauthorization: Bearer " + key + b"\r\nX: y\r\n\r\n{}"
    rest, sent = without_headers_of(head, ("MY_OWN_KEY",))
    assert sent == {"MY_OWN_KEY"}
    assert not leaks("it", rest)
    for other in (head.replace(b"authorization", b"cookie"), head + key):
        assert leaks("it", without_headers_of(other, ("MY_OWN_KEY",))[0])
    assert leaks("it", without_headers_of(head, ("TINKER_API_KEY",))[0])


def test_an_ear_hears_what_is_said_and_lets_it_through() -> None:
    with telltale(401) as port, Ear("it", port, "MY_OWN_KEY") as ear:
        asking = http.client.HTTPConnection("127.0.0.1", ear.port, timeout=60)
        key = KEYS["MY_OWN_KEY"]
        asking.request("POST", "/", b"a body", {"Authorization": f"Bearer {key}", "X-Other": key})
        answer = asking.getresponse()
        assert answer.status == 401
        assert key in answer.read().decode()
        asking.close()
        lost, sent = ear.taken()
        assert [re.sub(r":.*", "", one) for one in lost] == ["MY_OWN_KEY is in what it was sent"]
        assert sent == {"MY_OWN_KEY"}
        assert ear.taken() == ([], set())


def test_every_command_has_a_case() -> None:
    assert {name for name, _ in all_steps(URLS)} == set(all_commands())
