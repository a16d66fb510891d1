"""Notes of people: what they say about a deed, kept for those who look at it after them."""

from __future__ import annotations

from cogent_ops.clients.redaction import Redactor
from cogent_ops.errors import PermanentError

#: As long a note may be; the forms of the inbox take no longer ones.
LONGEST_NOTE = 1000


def kept_note(text: str) -> str:
    """A note as it may be kept, in full: it is shown to many and never deleted.

    :raises PermanentError: when it is too long. It is not shortened: its end may be what matters.
    """
    # A browser sends two characters for an end of line, and counts one.
    note = text.replace("\r\n", "\n").strip()
    if len(note) > LONGEST_NOTE:
        raise PermanentError(
            f"The note has {len(note):,} characters, and {LONGEST_NOTE:,} are kept. Make it shorter, or add the rest "
            "as another note."
        )
    return Redactor().masked(note)
