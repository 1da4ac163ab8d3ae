"""This machine's own loopback address, which no proxy can reach."""

import ipaddress
import os
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own loopback."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def bypass_proxy(base_url: str) -> None:
    """Keeps requests to a loopback address from being sent to a proxy; other addresses are left.

    The SDK reads the proxy settings of the environment and takes no others, so they are changed for
    this process and its children.
    """
    host = urlsplit(base_url).hostname or ""
    if not is_loopback(host):
        return
    for variable in ("NO_PROXY", "no_proxy"):
        hosts = [name for name in os.environ.get(variable, "").split(",") if name]
        if host not in hosts and "*" not in hosts:
            os.environ[variable] = ",".join([*hosts, host])
