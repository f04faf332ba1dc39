"""Finding the function, and saying why there is none."""

from __future__ import annotations

import os.path
from typing import Any

import pytest

from tapeline.errors import SinkError, SinkUnavailable
from tapeline_callbacks import CallbacksConfig
from tapeline_callbacks.targets import resolve


@pytest.mark.parametrize(
    "target", ["os.path:join", "os.path.join", "os:path.join"], ids=str
)
def test_both_spellings_find_the_function(target: str) -> None:
    """With a colon or with dots alone."""
    found: object = resolve(target)
    assert found == os.path.join


def test_a_method_of_an_object_in_a_module_is_found(write_module: Any) -> None:
    """After the colon, dots lead into it."""
    write_module(
        "pack.mod", "class A:\n    def f(self, event):\n        pass\na = A()\n"
    )
    assert callable(resolve("pack.mod:a.f"))


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("nowhere_at_all:f", "found no module 'nowhere_at_all'; check the name"),
        ("os.nowhere:f", "found no module 'os.nowhere'"),
        ("target:on_evnt", "found nothing called 'on_evnt' in module 'target'"),
        ("target:on_evnt", "did you mean 'on_event'?"),
        ("target:number", "found int, which cannot be called"),
        ("target.number", "found int, which cannot be called"),
    ],
)
def test_a_missing_function_is_a_final_sentence(
    write_module: Any, target: str, expected: str
) -> None:
    """It says what is missing."""
    write_module("target", "number = 1\ndef on_event(event):\n    pass\n")
    with pytest.raises(SinkError) as caught:
        resolve(target)
    assert not isinstance(caught.value, SinkUnavailable)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import not_installed_anywhere\n", "which it needs; install it"),
        ("1 / 0\n", "found ZeroDivisionError: division by zero"),
        ("def broken(:\n", "found SyntaxError"),
        ("raise SystemExit(3)\n", "found SystemExit: 3"),
    ],
)
def test_a_module_that_does_not_import_is_a_final_sentence(
    write_module: Any, text: str, expected: str
) -> None:
    """Even one that ends the process when imported."""
    write_module("broken_target", text)
    with pytest.raises(SinkError) as caught:
        resolve("broken_target:f")
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    "target", ["", "f", "a:", ":f", "a b:c", "a..b:c", "a:b:c", "1a:b", "a:1b"]
)
def test_what_names_no_function_is_refused_at_configuration(target: str) -> None:
    """Before anything is imported."""
    with pytest.raises(ValueError, match=r"expected 'package\.module:function'"):
        CallbacksConfig(target)
