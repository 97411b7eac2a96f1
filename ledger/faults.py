"""Tells what an error of the database means: a passing fault of ours, a lock, a deadlock, or a mistake.

In: the error. Out: a yes or no; or `LedgerUnavailable`, which is what callers of the ledger get of a passing
one. A new kind of error is told apart here. Called by ledger/database.py and ledger/group_commit.py.
"""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

# PostgreSQL's codes for a transaction that it ended so that another one can go on, and for a lock that was
# not to be had in time.
DEADLOCK = ("40001", "40P01")
LOCKED = ("55P03",)
# Beginnings of codes that speak of the server and not of a statement, whatever kind of error they come as: no
# connection, a standby, a session left idle, no resources, ended by an operator or a time-out, its files.
OF_THE_SERVER = ("08", "25006", "25P03", "53", "57", "58")


class LedgerUnavailable(Exception):  # noqa: N818  it says what is, as the errors of clients do
    """The database could not be reached or refused the transaction; nothing was committed for sure."""


def told(error: LedgerUnavailable) -> str:
    """What happened, why as far as the database or the network says so, and what to look at: one sentence or
    two for a person.
    """
    cause = getattr(error.__cause__, "orig", None) or error.__cause__
    because = " ".join(str(cause or "").split("\n")[0].split())
    what = str(error).removesuffix(".") + (f": {because}" if because else "")
    return f"{what}. Is the database running, and does DATABASE_URL lead to it?"


def is_deadlock(error: BaseException | None) -> bool:
    """Whether PostgreSQL ended this transaction to let another one, of another process, go on."""
    return _code(error) in DEADLOCK


def is_locked(error: BaseException | None) -> bool:
    """Whether somebody holds on to a row that this transaction needs."""
    return _code(error) in LOCKED


def is_outage(error: BaseException | None) -> bool:
    """Whether the database could not be reached, or not be worked with, as it is now."""
    if isinstance(error, PoolTimeout):
        return True
    if not isinstance(error, DBAPIError) or is_deadlock(error) or is_locked(error):
        return False
    if isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated:
        return True
    return _code(error).startswith(OF_THE_SERVER)


def is_passing(error: BaseException | None) -> bool:
    """Whether the same may go through a moment later: nothing is wrong with what was asked."""
    return is_outage(error) or is_deadlock(error) or is_locked(error)


def translated(error: Exception) -> Exception:
    """What a caller gets of an error that met its transaction."""
    if not is_passing(error):
        return error
    unavailable = LedgerUnavailable("The ledger could not be written.")
    unavailable.__cause__ = error
    return unavailable


def _code(error: BaseException | None) -> str:
    return str(getattr(getattr(error, "orig", None), "sqlstate", None) or "")
