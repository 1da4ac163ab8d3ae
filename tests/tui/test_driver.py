"""What is typed in another encoding than UTF-8 is passed over; whatever else goes wrong isn't hidden."""

import pytest
from textual.drivers.headless_driver import HeadlessDriver
from textual.drivers.linux_driver import LinuxDriver

from geospot.tui.driver import LenientDriver, lenient


def outcomes(monkeypatch: pytest.MonkeyPatch, *errors: Exception) -> list[Exception]:
    """Has reading keys end with these, one after the other, and then as it should; what is left of them."""
    left = list(errors)

    def read(self: LinuxDriver) -> None:
        del self
        if left:
            raise left.pop(0)

    monkeypatch.setattr(LinuxDriver, "run_input_thread", read)
    return left


def test_reading_goes_on_after_a_key_that_is_no_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    left = outcomes(monkeypatch, *[UnicodeDecodeError("utf-8", b"\xe9a", 0, 1, "invalid")] * 2)
    object.__new__(LenientDriver).run_input_thread()
    assert not left


def test_another_fault_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes(monkeypatch, OSError("the terminal broke"))
    with pytest.raises(OSError, match="broke"):
        object.__new__(LenientDriver).run_input_thread()


def test_only_the_terminals_driver_is_replaced() -> None:
    assert lenient(LinuxDriver) is LenientDriver
    assert lenient(HeadlessDriver) is HeadlessDriver
