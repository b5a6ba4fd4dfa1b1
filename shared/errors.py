"""Every error that crosses a room's border. Each says what its receiver is to do next.

`RetryableError`: the same command may succeed later. `ConflictError`: somebody wrote first; re-read and decide again.
`TerminalError`: this command can never succeed; it is parked (on a lane) or refused (over HTTP).
A denial by policy is not an error: it is a `Decision`.
"""

from __future__ import annotations

from collections.abc import Sequence


class CountersignError(Exception):
    """Root of the errors below; `code` is stable: the problem type over HTTP, or the reason of a parked command."""

    code = "error"


class RetryableError(CountersignError):
    """The work may succeed later. `retry_after_seconds` is the sender's wish, if it has one."""

    code = "retryable"

    def __init__(self, message: str, *, retry_after_seconds: float | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        if code is not None:
            self.code = code


class EarlyError(CountersignError):
    """The command came before its turn: its message is done with, and whoever goes before wakes it again."""

    code = "early"


class ConflictError(RetryableError):
    """A precondition of a commit failed: `lost` names the ids of the documents somebody else wrote first."""

    code = "conflict"

    def __init__(self, lost: Sequence[str]) -> None:
        super().__init__(f"somebody else wrote first: {', '.join(lost)}; re-read and decide again")
        self.lost = tuple(lost)


class UnreadableError(RetryableError):
    """What is stored under `document_id` is no document any more: changed by hand, or damaged. Whoever needs it waits
    until an operator has put it right."""

    code = "document_unreadable"

    def __init__(self, document_id: str) -> None:
        super().__init__(f"{document_id} cannot be read any more: what is stored of it is no JSON; restore it")
        self.document_id = document_id


class TerminalError(CountersignError):
    """The command can never succeed as it stands. `code` becomes the parking reason or the problem type."""

    code = "terminal"

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class InvalidInputError(TerminalError):
    """What was sent is malformed. `errors` is a list of {"pointer", "message"}, at most 20."""

    def __init__(self, message: str, errors: Sequence[dict[str, str]] = (), *, code: str = "invalid_input") -> None:
        super().__init__(code, message)
        self.errors = list(errors)[:20]


class UnauthenticatedError(TerminalError):
    """Nobody, or nobody we can verify, is calling."""

    def __init__(self, message: str, *, code: str = "unauthenticated") -> None:
        super().__init__(code, message)


class ForbiddenError(TerminalError):
    """The caller is known and may not do this."""

    def __init__(self, message: str, *, code: str = "forbidden") -> None:
        super().__init__(code, message)


class NotFoundError(TerminalError):
    """No such thing in the caller's tenant (another tenant's thing looks exactly the same)."""

    def __init__(self, message: str, *, code: str = "not_found") -> None:
        super().__init__(code, message)


class StateConflictError(TerminalError):
    """The thing is not in a state in which this may be done; reading it again shows why."""

    def __init__(self, message: str, *, code: str = "state_conflict") -> None:
        super().__init__(code, message)


class IdempotencyMismatchError(TerminalError):
    """The idempotency key was used before with another body."""

    def __init__(self, message: str) -> None:
        super().__init__("idempotency_key_reused", message)


class ConfigurationError(CountersignError):
    """A setting is missing or wrong; the message names it and says what it should be."""

    code = "configuration"
