"""Process tests: the real binaries, killed, starved and fed with nonsense.

The binaries come from the folder CONFORMANCE_BIN, as for tests/compat, whose helpers (package `lib`) are used here. With a
sanitizer build a report is a failure: undefined behaviour ends the process, a leak makes its exit status non-zero, and
`kit.Strict` wants status 0 of every process that was not killed.
"""
import os
import pathlib
import signal

import pytest

# A run under nohup must not hand its deafness to hang-ups down to the processes under test.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

os.environ.setdefault("UBSAN_OPTIONS", "halt_on_error=1:print_stacktrace=1")
os.environ.setdefault("TSAN_OPTIONS", f"suppressions={pathlib.Path(__file__).parents[1] / 'lib' / 'tsan.supp'}")

from kit import Strict  # noqa: E402 - the variable above is for the processes it starts


@pytest.fixture
def cluster():
    """Processes for one test; the test fails if one of them does not end well."""
    with Strict() as cluster:
        yield cluster
