"""Building frozen events at the price of mutable ones.

The ``__init__`` of a frozen attrs class goes through ``object.__setattr__`` for
every field, about 1 µs for a trade. A subclass without slots of its own has the
same memory layout, so it can store the fields plainly and then become the frozen
class; what comes out is indistinguishable, and costs a quarter.
"""

from __future__ import annotations

from typing import TypeVar

import attrs

Frozen = TypeVar("Frozen")


def draft_of(cls: type[Frozen]) -> type[Frozen]:
    """A twin of *cls* whose objects take assignments until their class is set.

    ``draft = object.__new__(draft_of(cls))``, then every field, and at last
    ``draft.__class__ = cls``. Only for bare attrs classes with slots.
    """
    twin: type[Frozen] = type(
        f"{cls.__name__}Draft",
        (cls,),
        {
            "__slots__": (),
            "__setattr__": object.__setattr__,
            "__delattr__": object.__delattr__,
        },
    )
    return twin


def quick_constructor(cls: type[Frozen]) -> type[Frozen]:
    """Something to call like *cls*, several times faster; gives real *cls* objects.

    Only for bare frozen attrs classes: no validators, converters or factories.
    """
    fields: tuple[attrs.Attribute[object], ...] = attrs.fields(cls)  # type: ignore[arg-type]
    names: dict[str, object] = {"final": cls}
    parameters = []
    for field in fields:
        if field.default is attrs.NOTHING:
            parameters.append(field.name)
        else:
            names[f"default_{field.name}"] = field.default
            parameters.append(f"{field.name}=default_{field.name}")
    lines = [f"def __init__(self, {', '.join(parameters)}):"]
    lines += [f"    self.{field.name} = {field.name}" for field in fields]
    lines.append("    self.__class__ = final")
    exec("\n".join(lines), names)
    twin = draft_of(cls)
    type.__setattr__(twin, "__init__", names["__init__"])
    return twin
