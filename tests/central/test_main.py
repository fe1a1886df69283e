"""The command that serves, as a process."""

import signal
from pathlib import Path

import httpx
import pytest

from scripts.city.screens import Central


@pytest.mark.service
def test_a_reader_that_goes_while_it_is_written_to_does_not_take_central_along(tmp_path: Path) -> None:
    central = Central(tmp_path)
    central.start()
    central.signal(signal.SIGPIPE)  # what the kernel sends to whoever writes where nobody reads any more
    try:
        assert httpx.get(f"http://127.0.0.1:{central.port}/health/live", trust_env=False).is_success
    finally:
        assert central.kill() is None
