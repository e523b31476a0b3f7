"""Expected failures: cases of what Troupe does not do yet, by name in expected_failures.txt. One that passes is an error."""
import fnmatch
import pathlib

import pytest


def _patterns():
    path = pathlib.Path(__file__).with_name("expected_failures.txt")
    for number, line in enumerate(path.read_text().splitlines(), 1):
        text = line.split(" # ")[0].strip()
        if text and not text.startswith("#"):
            yield number, text


def pytest_collection_modifyitems(items):
    exact, wild = {}, []
    for number, text in _patterns():
        if "*" in text:
            wild.append((number, text.replace("[", "[[]")))
        else:
            exact[text] = number
    here = pathlib.Path(__file__).parent
    for item in items:
        name = f"{item.path.relative_to(here)}::{item.nodeid.split('::', 1)[1]}"
        number = exact.get(name) or next((n for n, text in wild if fnmatch.fnmatchcase(name, text)), None)
        if number is not None:
            item.add_marker(pytest.mark.xfail(strict=True, reason=f"expected_failures.txt, line {number}"))
