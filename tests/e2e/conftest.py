import os
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # workloads

from harness import ULLAGE, Recorder


def pytest_configure(config):
    if not ULLAGE.exists():
        pytest.exit(f"{ULLAGE} has not been built; set ULLAGE_BUILD", returncode=2)
    os.umask(0o022)
    # What is started in the background by a shell ignores them, and so would all programs.
    for number in signal.SIGHUP, signal.SIGINT, signal.SIGQUIT:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


@pytest.fixture
def recorder(tmp_path):
    return Recorder(tmp_path)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    """No test waits for ever; those that need long say so."""
    mark = item.get_closest_marker("seconds")
    limit = mark.args[0] if mark else 180

    def give_up(_signal, _frame):
        raise TimeoutError(f"no end within {limit} s")

    old = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(limit)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)


@pytest.fixture(scope="module")
def recordings_apart(tmp_path_factory):
    """Recordings of what `ullage check` finds stay: here."""
    with pytest.MonkeyPatch.context() as m:
        m.setenv("TMPDIR", str(tmp_path_factory.mktemp("recordings")))
        yield
