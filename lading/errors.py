"""One tree of errors, shaped by what the caller does.

    LadingError
    ├── MalformedError   not in the format                 dead-letter, count, go on
    ├── RejectedError    well-formed, refused              dead-letter, count, go on
    ├── ProofError       does not prove its claim          tell the user, exit 1
    └── ServiceError     broker, store or chain failed     bounded retry with backoff, then stop

Our own bugs are AssertionErrors: they crash, with the input.
"""


class LadingError(Exception):
    """An error with a `code` that labels log line, metric and dead letter; the text says found and wanted."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


class MalformedError(LadingError):
    """The bytes are not in the format."""


class RejectedError(LadingError):
    """Well-formed, and refused: signature, replay, unknown gateway."""


class ProofError(LadingError):
    """Does not prove its claim."""


class ServiceError(LadingError):
    """A broker, store or chain failed."""
