"""Bringing the schema up to date: its own command, never part of starting a worker."""

from app.settings import Settings
from optimizer.errors import InvalidInputError
from store.schema import upgrade


async def migrate(settings: Settings) -> None:
    """Upgrade the configured database to the newest schema.

    Raises:
        InvalidInputError: its URL is of no supported kind.
        StoreUnavailableError: it cannot be reached.
    """
    try:
        await upgrade(settings.database.url)
    except ValueError as error:
        raise InvalidInputError(f"database.url: {error}", param="database.url") from error
