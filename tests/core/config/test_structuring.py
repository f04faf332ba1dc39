"""Tables into options classes: code may pass objects, plugins may err."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, NewType

import attrs
import pytest
from attrs import validators as v

from tapeline.config import structure_options
from tapeline.errors import ConfigError, ContractError
from tapeline.model import Secret

Port = NewType("Port", int)


OPTION_NAMES = (
    "anything, by_name, code, either, even, low, names, pair, port, private, short, "
    "size or upper"
)


def shout(text: str) -> str:
    """A converter."""
    return text.upper()


@attrs.frozen
class Options:
    """Fields with less usual types, validators and converters."""

    port: Port = Port(1)
    size: Annotated[int, "bytes"] = 0
    either: int | str = 0
    pair: tuple[int, str] = (0, "")
    names: frozenset[str] = frozenset()
    by_name: dict[str, int] = attrs.field(factory=dict)
    anything: Any = None
    code: str = attrs.field(default="ab", validator=v.matches_re("[a-z]+"))
    short: str = attrs.field(default="", validator=v.max_len(3))
    even: int = attrs.field(default=0)
    upper: str = attrs.field(default="X", converter=shout)
    low: int = attrs.field(default=1, validator=v.and_(v.gt(0), v.lt(10)))
    _private: int = 0
    derived: int = attrs.field(init=False, default=7)

    @even.validator
    def _even(self, attribute: attrs.Attribute[int], value: int) -> None:
        if value % 2 or value > 10 * self.low:
            raise ValueError("it must be even.")


def structured(**table: object) -> tuple[Options | None, list[tuple[str, str]]]:
    """Structure *table* at path ``o``."""
    return structure_options(Options, table, "o", {"E": "x"})


def test_less_usual_types_are_read() -> None:
    options, problems = structured(
        port=80,
        size=5,
        either="x",
        pair=[1, "a"],
        names=["a", "b"],
        by_name={"a": 1},
        anything=[{}],
        upper="abc",
        private=3,
    )
    assert problems == []
    assert options == Options(
        port=Port(80),
        size=5,
        either="x",
        pair=(1, "a"),
        names=frozenset("ab"),
        by_name={"a": 1},
        anything=[{}],
        upper="ABC",
        private=3,
    )


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"port": "x"}, ("o.port", "expected an integer, found 'x'")),
        ({"either": []}, ("o.either", "expected integer or text, found an empty list")),
        ({"pair": [1]}, ("o.pair", "expected a list of 2 items, found 1 of them")),
        ({"pair": ["a", "a"]}, ("o.pair[0]", "expected an integer, found 'a'")),
        (
            {"by_name": {"a b": ""}},
            ('o.by_name."a b"', "expected an integer, found ''"),
        ),
        ({"code": "A1"}, ("o.code", "expected text of the form [a-z]+, found 'A1'")),
        ({"low": 10}, ("o.low", "expected a value of less than 10, found 10")),
        (
            {"even": 3},
            (
                "o.even",
                "expected a value that the options accept, found 3: it must be even",
            ),
        ),
        (
            {"derived": 1},
            (
                "o.derived",
                f"expected {OPTION_NAMES}, found 'derived'; remove it",
            ),
        ),
    ],
)
def test_what_is_wrong_is_worded(
    table: dict[str, object], problem: tuple[str, str]
) -> None:
    assert structured(**table) == (None, [problem])


def test_all_validators_speak_at_once() -> None:
    options, problems = structured(code="1", short="long text", even=1, low=0, upper=5)
    assert options is None
    assert {path for path, _ in problems} == {
        "o.code",
        "o.short",
        "o.even",
        "o.low",
        "o.upper",
    }


@attrs.frozen
class Plain:
    """Options as a caller in Python may pass them."""

    secret: Secret
    path: Path = Path()
    amount: Decimal = Decimal(0)
    ratio: float = 0.0
    items: tuple[str, ...] = ()
    other: Options | None = None


def test_objects_of_a_caller_in_python_are_taken() -> None:
    table = {
        "secret": Secret("abc"),
        "path": Path("x"),
        "amount": 0.1,
        "ratio": Decimal("0.5"),
        "items": ("a",),
        "other": None,
    }
    options, problems = structure_options(Plain, table, "", {})
    assert problems == []
    assert options == Plain(Secret("abc"), Path("x"), Decimal("0.1"), 0.5, ("a",), None)


@attrs.frozen
class Paired:
    """Options that check themselves as a whole."""

    key: Secret
    sign: str = ""

    def __attrs_post_init__(self) -> None:
        raise ConfigError(
            [
                ("sign", f"expected a sign for {self.key.reveal()}, found none"),
                ("", "expected both, found one"),
            ]
        )


def test_a_class_may_name_its_own_keys() -> None:
    _, problems = structure_options(Paired, {"key": "abc"}, "o", {})
    assert problems == [
        ("o.sign", "expected a sign for <secret>, found none"),
        ("o", "expected both, found one"),
    ]


@attrs.frozen
class Unreadable:
    """A field that no configuration can give."""

    field: complex = 0j


@attrs.frozen
class Unresolvable:
    """A field whose type is not there at run time."""

    field: NoSuchType  # type: ignore[name-defined]  # noqa: F821


class NoAttrs:
    """No attrs class."""


@pytest.mark.parametrize("cls", [Unreadable, Unresolvable, NoAttrs])
def test_an_options_class_that_cannot_work_breaks_the_contract(
    cls: type[object],
) -> None:
    with pytest.raises(ContractError, match="expected"):
        structure_options(cls, {"field": 1}, "o", {})
