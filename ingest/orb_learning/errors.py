"""Every error that orb-learning raises.

    OrbLearningError
    ├── PermanentError            a retry changes nothing: fix the input or the set-up first
    │   ├── InvalidEventError     an event or record breaks its contract
    │   ├── InstrumentationError  a host's object lacks what the hooks need of it
    │   ├── HomeError             the home directory, or a file in it, is not usable as it is
    │   ├── MigrationError        the staging schema cannot be brought to the wanted version
    │   ├── ImportFileError       a file to import cannot be read as what it claims to be
    │   ├── NotPublishedError     nothing has been published yet, or not what was asked for
    │   ├── InvalidQueryError     a question that the read API cannot answer
    │   ├── ResultTooLargeError   an answer with more rows or bytes than its reader allows
    │   ├── EmbeddingError        a model that is missing, or vectors that cannot be stored
    │   └── ProjectError          the dbt project or dbt cannot be found, or takes no such var
    └── TransientError            the same call may succeed later
        ├── SpoolWriteError       the operating system refused to store an event
        ├── QueryTimeoutError     a query took longer than its time limit
        ├── BusyError             another process holds what this call needs
        └── RefreshError          a dbt run ended in failure; the last publication stands

A message says what happened, to which file or field, and what to do, in one line that commands no
terminal, whatever the host's texts within it are.
"""


def printable(text: str, keep: str = "") -> str:
    """Return a text on one line, without what would command a terminal: that is escaped.

    Args:
        text: any text.
        keep: signs that stay, such as line ends.
    """
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() or sign in keep else sign.encode("unicode_escape").decode()
        for sign in text
    )


class OrbLearningError(Exception):
    """Base of all errors of this package."""

    def __str__(self) -> str:
        """Return the message, on one line."""
        return printable(super().__str__())


class PermanentError(OrbLearningError):
    """A retry changes nothing."""


class TransientError(OrbLearningError):
    """The same call may succeed later."""


class InvalidEventError(PermanentError):
    """An event or record breaks its contract; the message names each field and its fault."""


class InstrumentationError(PermanentError):
    """A host's object lacks what the hooks need of it."""


class HomeError(PermanentError):
    """The home directory, or a file in it, is not usable as it is."""


class MigrationError(PermanentError):
    """The staging schema cannot be brought to the wanted version."""


class ImportFileError(PermanentError):
    """A file to import cannot be read as what it claims to be."""


class NotPublishedError(PermanentError):
    """Nothing has been published yet, or not what was asked for."""


class InvalidQueryError(PermanentError):
    """A question that the read API cannot answer: an argument or SQL that DuckDB refuses."""


class ResultTooLargeError(PermanentError):
    """A result has more rows or bytes than its reader allows; no part of it is given."""


class EmbeddingError(PermanentError):
    """A model that is missing or cannot be loaded, or vectors that cannot be stored."""


class ProjectError(PermanentError):
    """The dbt project, or dbt itself, cannot be found, or takes no such var."""


class SpoolWriteError(TransientError):
    """The operating system refused to store an event; the event is not acknowledged."""


class QueryTimeoutError(TransientError):
    """A query took longer than its time limit and was interrupted."""


class BusyError(TransientError):
    """Another process holds what this call needs."""


class RefreshError(TransientError):
    """A dbt run ended in failure; the last publication stands."""
