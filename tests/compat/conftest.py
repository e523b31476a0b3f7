"""Expected failures: cases of what Troupe does not do yet, by name in expected_failures.txt. One that passes is an error.

Lines below the heading `[not run]` name cases that are not even started: they need a whole part that is not there, and
each would only wait for it in vain. All others run.
"""
import fnmatch
import pathlib

import pytest


def _patterns():
    """(line number, pattern, whether to run) of each line."""
    path = pathlib.Path(__file__).with_name("expected_failures.txt")
    run = True
    for number, line in enumerate(path.read_text().splitlines(), 1):
        text = line.split(" # ")[0].strip()
        if text == "[not run]":
            run = False
        elif text and not text.startswith("#"):
            yield number, text, run


def pytest_collection_modifyitems(items):
    exact, wild = {}, []
    for number, text, run in _patterns():
        if "*" in text:
            wild.append((number, text.replace("[", "[[]"), run))
        else:
            exact[text] = number, run
    here = pathlib.Path(__file__).parent
    for item in items:
        name = f"{item.path.relative_to(here)}::{item.nodeid.split('::', 1)[1]}"
        found = exact.get(name) or next(((n, run) for n, text, run in wild if fnmatch.fnmatchcase(name, text)), None)
        if found is not None:
            number, run = found
            item.add_marker(pytest.mark.xfail(strict=True, run=run, reason=f"expected_failures.txt, line {number}"))
