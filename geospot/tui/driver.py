"""The terminal as Textual drives it, but that what is typed may be in another encoding than UTF-8."""

from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver


class LenientDriver(LinuxDriver):
    """A key that is no UTF-8, as a terminal set to Latin-1 sends it, is passed over; it ended the app."""

    def run_input_thread(self) -> None:
        """Reads keys until the app ends."""
        while True:
            try:
                super().run_input_thread()
            except UnicodeDecodeError:
                continue
            return


def lenient(driver: type[Driver]) -> type[Driver]:
    """The driver to be used in the place of the one that is Textual's choice."""
    return LenientDriver if driver is LinuxDriver else driver
