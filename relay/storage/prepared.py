"""Statements of the message path: compiled once by SQLAlchemy, then run by the database's driver itself.

SQLAlchemy compiles, and converts values between Python and the database; what it does besides at each execution takes
five times as long as SQLite takes for the statement.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Executable, dialects
from sqlalchemy.exc import DBAPIError

Values = Mapping[str, Any]
_Convert = Callable[[Any], Any]


class ResultRows(list[Any]):
    """The rows of a statement as named tuples. rowcount: how many rows it read or changed, as the driver counts."""

    __slots__ = ("rowcount",)

    def __init__(self, rows: Iterable[Any], rowcount: int) -> None:
        super().__init__(rows)
        self.rowcount = rowcount

    def all(self) -> ResultRows:
        return self

    def first(self) -> Any:
        """The first row, or None."""
        return self[0] if self else None

    def one(self) -> Any:
        """The only row. Raises ValueError when there are others, or none."""
        (row,) = self
        return row

    def scalar(self) -> Any:
        """The first column of the first row, or None."""
        return self[0][0] if self else None

    def scalars(self) -> list[Any]:
        """The first column."""
        return [row[0] for row in self]


class Prepared:
    """A statement that is built once, with parameters, and compiled at its first use with each set of values.

    Values of an INSERT or UPDATE are named by their columns; the parameters of a WHERE have other names.
    """

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._compiled: dict[tuple[str, ...], _Compiled] = {}

    def run(self, connection: Connection, values: Values) -> ResultRows:
        """Run it in the connection's transaction. Raises SQLAlchemy's DBAPIError."""
        compiled = self._compiled_for(connection, values)
        return compiled.execute(connection, compiled.arguments(values), many=False)

    def run_for_each(self, connection: Connection, values: Sequence[Values]) -> None:
        """Run it once for each of several values, all with the same names."""
        compiled = self._compiled_for(connection, values[0])
        if connection.dialect.name == "postgresql":
            # psycopg would send them as one pipeline. A client that is stopped amid a pipeline (a frozen machine,
            # SIGSTOP) keeps its locks while it is stopped: PostgreSQL takes it for active, so no timeout ends the
            # transaction.
            for each in values:
                compiled.execute(connection, compiled.arguments(each), many=False)
        else:
            compiled.execute(connection, [compiled.arguments(each) for each in values], many=True)

    def built_for(self, connection: Connection) -> Executable:  # noqa: ARG002 (an Upsert needs it)
        """The statement for SQLAlchemy."""
        return self._statement

    def _compiled_for(self, connection: Connection, values: Values) -> _Compiled:
        key = (connection.dialect.name, *values)
        if (found := self._compiled.get(key)) is None:
            found = self._compiled[key] = _Compiled(self.built_for(connection), connection, list(values))
        return found


class Upsert(Prepared):
    """An INSERT to which `finish` adds ON CONFLICT; SQLAlchemy has a class of its own for each dialect.

    It is built at its first use for the dialect in use; the other dialect, 2 MB for PostgreSQL, is never loaded.
    """

    def __init__(self, table: Any, finish: Callable[[Any], Executable]) -> None:
        self._table = table
        self._finish = finish
        self._compiled = {}

    def built_for(self, connection: Connection) -> Executable:
        return self._finish(getattr(dialects, connection.dialect.name).insert(self._table))


class _Compiled:
    """The text of a statement for one dialect and one set of values, and how its values are converted."""

    def __init__(self, statement: Any, connection: Connection, names: list[str]) -> None:
        dialect = connection.dialect
        compiled = statement.compile(dialect=dialect, column_keys=names)
        self._text = str(compiled)
        self._is_positional = compiled.positiontup is not None
        bound = {name: parameter.type for parameter, name in compiled.bind_names.items()}
        self._parameters: list[tuple[str, _Convert | None]] = [
            (name, bound[name].dialect_impl(dialect).bind_processor(dialect)) for name in compiled.positiontup or bound
        ]
        self._constants = {name: value for name, value in compiled.params.items() if name not in names}
        self._columns = statement.exported_columns
        names_of_columns = self._columns.keys()
        self._row: Any = namedtuple("Row", names_of_columns, rename=True) if names_of_columns else None  # noqa: PYI024
        self._conversions: list[tuple[int, _Convert]] | None = None

    def arguments(self, values: Values) -> Any:
        """The values as the driver takes them: a tuple or a dictionary."""
        if self._constants:
            values = {**self._constants, **values}
        if self._is_positional:
            return tuple(
                [values[name] if convert is None else convert(values[name]) for name, convert in self._parameters]
            )
        return {name: values[name] if convert is None else convert(values[name]) for name, convert in self._parameters}

    def execute(self, connection: Connection, arguments: Any, *, many: bool) -> ResultRows:
        cursor, rows = _execute(connection, self._text, arguments, many=many, has_rows=self._row is not None)
        if self._conversions is None:
            self._conversions = self._found_conversions(connection, cursor)
        return ResultRows(self._converted(rows, self._conversions) if rows else (), cursor.rowcount)

    def _found_conversions(self, connection: Connection, cursor: Any) -> list[tuple[int, _Convert]]:
        """How the values of columns are converted, by the place of the column; some depend on the driver's type."""
        dialect, found = connection.dialect, []
        for place, (column, described) in enumerate(zip(self._columns, cursor.description or (), strict=True)):
            convert = column.type.dialect_impl(dialect).result_processor(dialect, described[1])
            if convert is not None:
                found.append((place, convert))
        return found

    def _converted(self, rows: Iterable[Any], conversions: Sequence[tuple[int, _Convert]]) -> Iterable[Any]:
        if conversions:
            rows = [list(row) for row in rows]
            for row in rows:
                for place, convert in conversions:
                    row[place] = convert(row[place])
        return map(self._row._make, rows)


def run_text(connection: Connection, statement: str) -> None:
    """Run a statement without values or rows. Raises SQLAlchemy's DBAPIError."""
    _execute(connection, statement, (), many=False, has_rows=False)


def _execute(
    connection: Connection, statement: str, arguments: Any, *, many: bool, has_rows: bool
) -> tuple[Any, Sequence[Any]]:
    """The driver's cursor, and its rows."""
    driver: Any = connection.connection.dbapi_connection
    for listener in connection.dispatch.before_cursor_execute:  # as SQLAlchemy does
        listener(connection, None, statement, arguments, None, many)
    try:
        cursor = driver.cursor()
        (cursor.executemany if many else cursor.execute)(statement, arguments)
        return cursor, cursor.fetchall() if has_rows else ()
    except connection.dialect.loaded_dbapi.Error as error:
        raise _as_sqlalchemy(connection, statement, arguments, error) from error


def _as_sqlalchemy(connection: Connection, statement: str, arguments: Any, error: Any) -> BaseException:
    """The error as SQLAlchemy raises it; a broken connection does not go back to the pool."""
    base: Any = connection.dialect.loaded_dbapi.Error
    driver: Any = connection.connection.dbapi_connection
    broken = connection.dialect.is_disconnect(error, driver, None)
    if broken:
        connection.invalidate(error)
    wrapped: BaseException = DBAPIError.instance(
        statement, arguments, error, base, connection_invalidated=broken, dialect=connection.dialect
    )
    return wrapped
