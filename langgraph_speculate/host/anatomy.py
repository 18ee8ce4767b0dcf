"""What functions, classes and objects hold, looked up without running any code of theirs.

No property, no `__getattr__` and no iterator of somebody else's is asked: what is found is what lies there. Which of it
matters is for `reach.py` to say.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache, partial, partialmethod
from importlib.util import resolve_name
from itertools import islice
from types import CellType, CodeType, FunctionType, GetSetDescriptorType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

Part = tuple[str, Any]
"""Something held, with the name it is held under."""

_MOST = 1000  # members of a container that are looked at: tables of functions are small, what is larger is data
_DATA = (str, bytes, int, float, complex, bool, type(None))
_SLOT = MemberDescriptorType
_C_FIELD = (GetSetDescriptorType, _SLOT)  # a slot, or a field of a type written in C
_MISSING = object()


def is_a(value: Any, kind: type | tuple[type, ...]) -> bool:
    """`isinstance`, without asking the value: a proxy says that it is what it stands for."""
    return issubclass(type(value), kind)


def package_of(value: Any) -> str:
    """The top-level package in which a function or class, or an object's class, was written."""
    if is_a(value, MethodType):
        value = value.__func__
    if type(value) is FunctionType:
        module = value.__globals__.get("__name__")  # what wraps another function says that it is of that one's module
    else:
        module = (value if is_a(value, type) else type(value)).__module__
    return module.partition(".")[0] if isinstance(module, str) else ""


def plain(function: Any) -> FunctionType | None:
    """The plain function that a function or method is, or None."""
    inner = function.__func__ if is_a(function, MethodType) else function
    return inner if type(inner) is FunctionType else None


def codes(function: Any) -> list[CodeType]:
    """The code of a function, and the code inside of it."""
    found = [inner.__code__] if (inner := plain(function)) is not None else []
    for code in found:
        found.extend(const for const in code.co_consts if isinstance(const, CodeType))
    return found


# -- what is held ----------------------------------------------------------------------------------------------------


def inner_functions(value: Any) -> list[Any]:
    """The functions that a function, or what wraps one, calls when it is called."""
    found: list[Any] = []
    if is_a(value, (partial, partialmethod, cached_property)):
        found = [value.func]
    elif is_a(value, property):
        found = [value.fget, value.fset, value.fdel]
    elif is_a(value, (MethodType, staticmethod, classmethod)):
        found = [value.__func__, fields(value.__func__).get("__wrapped__")]
    elif type(value) is FunctionType:
        found = [value.__dict__.get("__wrapped__")]
    elif not is_a(value, type):
        found = [attribute(value, "__wrapped__"), attribute(type(value), "__call__")]
    return [one for one in found if is_a(one, (FunctionType, MethodType, partial))]


def bound_to(value: Any) -> Iterator[Part]:
    """What was bound to a function when it was made: closure, defaults, wrapped function, arguments, instance."""
    yield from ((one.__name__ if type(one) is FunctionType else "", one) for one in inner_functions(value))
    if type(value) is FunctionType:
        cells = zip(value.__code__.co_freevars, value.__closure__ or (), strict=False)
        yield from ((name, cell.cell_contents) for name, cell in cells if _is_filled(cell))
        yield from (("", default) for default in value.__defaults__ or ())
        yield from (value.__kwdefaults__ or {}).items()
    elif is_a(value, (partial, partialmethod)):
        yield from (("", argument) for argument in value.args)
        yield from value.keywords.items()
    elif is_a(value, MethodType):
        yield from fields(value.__self__).items()
    elif not is_a(value, type):
        yield from fields(value).items()


def fields(value: Any) -> dict[str, Any]:
    """What an object holds in attributes of its own: its `__dict__`, and its slots."""
    found: dict[str, Any] = {}
    kind: type = type(value)
    slots, own = _layout(kind)
    for name, slot in slots:
        if (held := _read(slot, value)) is not _MISSING:
            # pydantic keeps private attributes in a dict of their own
            found.update(held if name == "__pydantic_private__" and type(held) is dict else {name: held})
    if own is not None and type(held := _read(own, value)) is dict:
        found.update(held)
    return found


@lru_cache(maxsize=2048)
def _layout(kind: type) -> tuple[tuple[tuple[str, Any], ...], Any]:
    """The slots of a class, and what reads the `__dict__` of its objects, unless that is somebody's property."""
    slots = [(name, one) for base in kind.__mro__ for name, one in vars(base).items() if type(one) is _SLOT]
    own = next((vars(base)["__dict__"] for base in kind.__mro__ if "__dict__" in vars(base)), None)
    return tuple(slots), own if type(own) is GetSetDescriptorType else None


def class_parts(kind: type) -> Iterator[Part]:
    """What a class itself defines: functions, and attributes that Python did not put there."""
    for name, value in list(vars(kind).items()):
        special = name.startswith("__") and name.endswith("__")
        if not is_a(value, (*_C_FIELD, *_DATA)) and (not special or type(value) is FunctionType):
            yield name, value


def members(value: Any) -> list[Any]:
    """What a table or list holds."""
    if is_a(value, dict):
        return list(dict.values(value))
    for kind in (list, tuple, set, frozenset):
        if is_a(value, kind):
            return list(kind.__iter__(value))
    return []


def spread(parts: Iterable[Part]) -> Iterator[Part]:
    """Parts, and what those of them hold that are containers, or containers in containers; data left out."""
    for name, value in parts:
        yield name, value
        for member in islice(members(value), _MOST):
            if type(member) not in _DATA:
                yield name, member
                yield from ((name, inner) for inner in islice(members(member), _MOST) if type(inner) not in _DATA)


# -- what is named ---------------------------------------------------------------------------------------------------


def named_in(function: Any) -> Iterator[Part]:
    """What a function's code loads from outside of it, with each attribute on the way: `desk`, `desk.approver`."""
    inner = plain(function)
    if inner is None:
        return
    cells = zip(inner.__code__.co_freevars, inner.__closure__ or (), strict=False)
    around = {name: cell.cell_contents for name, cell in cells if _is_filled(cell)}
    outside = inner.__globals__
    for path in (path for code in codes(inner) for path in _paths(code)):
        first, *rest = path
        if first.startswith(_IMPORT):
            value = sys.modules.get(_absolute(first.removeprefix(_IMPORT), outside.get("__package__")), _MISSING)
        else:
            value = around.get(first, outside.get(first, _MISSING))
        for name in rest:
            value = _MISSING if value is _MISSING else attribute(value, name, _MISSING)
        if value is not _MISSING:
            yield path[-1], value


_IMPORT = "import "  # no name in code has a blank in it


@lru_cache(maxsize=8192)
def _paths(code: CodeType) -> frozenset[tuple[str, ...]]:
    """What code loads: a name and attributes of what it stands for, or a module and what is imported from it."""
    found: set[tuple[str, ...]] = set()
    imported: dict[str, tuple[str, ...]] = {}  # by the local name it goes by
    path: tuple[str, ...] = ()
    module: tuple[str, ...] = ()
    before: list[Any] = [None, None]
    for step in dis.get_instructions(code):
        match step.opname:
            case "EXTENDED_ARG":
                continue
            case "LOAD_GLOBAL" | "LOAD_NAME" | "LOAD_DEREF" | "LOAD_CLASSDEREF" | "LOAD_FROM_DICT_OR_DEREF":
                path = (step.argval,)
            case "LOAD_ATTR" | "LOAD_METHOD":
                path = (*path, step.argval) if path else ()
            case "IMPORT_NAME":
                level, names = before
                whole = step.argval if names or level else step.argval.partition(".")[0]
                path = module = (_IMPORT + "." * (level or 0) + whole,)
            case "IMPORT_FROM":
                path = (*module, step.argval)
            case "STORE_FAST":
                imported.update({step.argval: path} if path and path[0].startswith(_IMPORT) else {})
                path = ()
            case _:
                path = imported.get(step.argval, ()) if step.opname.startswith("LOAD_FAST") else ()
        before = [before[1], step.argval]
        if path:
            found.add(path)
    return frozenset(found)


def _absolute(name: str, package: Any) -> str:
    try:
        return resolve_name(name, package if isinstance(package, str) else None)
    except ImportError:
        return ""


def attribute(value: Any, name: str, missing: Any = None) -> Any:
    """What an attribute of an object, class or module is, as it lies there: a property is found, and not asked."""
    if is_a(value, ModuleType):
        return vars(value).get(name, missing)
    if not is_a(value, type):
        own = fields(value)
        if name in own:
            return own[name]
    for kind in value.__mro__ if is_a(value, type) else type(value).__mro__:
        if name in vars(kind):
            found = vars(kind)[name]
            return found if is_a(value, type) or type(found) not in _C_FIELD else _read(found, value, missing)
    return missing


def _read(field: Any, value: Any, missing: Any = _MISSING) -> Any:
    try:
        return field.__get__(value, type(value))
    except Exception:  # noqa: BLE001 - a slot that is not filled, or a field of code in C
        return missing


def _is_filled(cell: CellType) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:  # a recursive function that is not bound yet
        return False
