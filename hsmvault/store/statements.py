"""Statements: written with SQLAlchemy Core, compiled once per dialect, run on the driver.

Why not SQLAlchemy's engine: its asynchronous one costs several times the statement itself. A Statement stands at
module level, names its columns and its parameters, and carries no value of any caller.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.elements import ClauseElement

from hsmvault.errors import BadRequest

Value = str | int | bytes | None  # bool is an int
Row = tuple[Any, ...]  # typed by the one function that decodes it, and nowhere else seen

_LARGEST = 2**63


@dataclass(frozen=True, slots=True)
class Compiled:
    """text: with the driver's placeholders. names: of the parameters in their order; one may stand twice.
    constants: values of parameters that the statement itself fixes.
    """

    text: str
    names: tuple[str, ...]
    constants: Mapping[str, Value]
    wanted: frozenset[str]

    def arguments(self, values: Mapping[str, Value]) -> tuple[Value, ...]:
        """In the driver's order. Raises BadRequest for what some database would not keep: see checked()."""
        if values.keys() != self.wanted:
            raise TypeError(f"parameters {sorted(values)}, the statement has {sorted(self.wanted)}")
        for value in values.values():
            if value is not None and type(value) is not bytes:
                checked(value)
        if not self.constants:
            return tuple([values[name] for name in self.names])
        return tuple([values[name] if name in values else self.constants[name] for name in self.names])


class Statement:
    """writes: whether it changes anything."""

    __slots__ = ("_columns", "_compiled", "_element", "writes")

    def __init__(self, element: ClauseElement, columns: Sequence[str] | None = None) -> None:
        """columns: of an insert or update: those that are set from parameters of the same name."""
        assert isinstance(element, Executable)
        self._element = element
        self._columns = list(columns) if columns is not None else None
        self._compiled: dict[str, Compiled] = {}
        self.writes = isinstance(element, UpdateBase)

    def compiled(self, dialect: Dialect) -> Compiled:
        found = self._compiled.get(dialect.name)
        if found is None:
            found = self._compiled[dialect.name] = self._compile(dialect)
        return found

    def _compile(self, dialect: Dialect) -> Compiled:
        compiler = self._element.compile(dialect=dialect, column_keys=self._columns)
        assert isinstance(compiler, SQLCompiler)
        assert compiler.positiontup is not None
        constants = {
            name: parameter.effective_value for name, parameter in compiler.binds.items() if not parameter.required
        }
        names = tuple(compiler.positiontup)
        return Compiled(compiler.string, names, constants, frozenset(names) - constants.keys())


def same(*columns: ColumnElement[Any]) -> ColumnElement[bool]:
    """Every column equals the parameter of its name."""
    return and_(*(column == bindparam(column.key) for column in columns if column.key is not None))


def checked(value: Value) -> None:
    """Refuse what breaks later: NUL (PostgreSQL), lone surrogates (UTF-8), integers beyond 64 bits.

    Raises BadRequest.
    """
    if isinstance(value, str):
        if "\0" in value:
            raise BadRequest("A text must not contain the character NUL.")
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise BadRequest("A text contains a lone surrogate, which is not a character.") from None
    elif isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
        raise BadRequest("A number does not fit in 64 bits.")
