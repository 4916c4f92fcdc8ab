"""Sessions of the dashboard as values."""

from dataclasses import dataclass

from store.records.keys import KeyRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class WebSessionRecord:
    """A session that has not expired.

    Attributes:
        key: the stored key that it stands for, as it is now; None for the key of the settings.
        proof: what the application wrote to know that key again; None for a stored key.
    """

    key: KeyRecord | None
    proof: str | None
