"""What the key endpoints take and give."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.access.key_limits import Period
from app.access.principal import Scope
from optimizer.types import JsonObject
from store.records.keys import KeyChange

_MOST = 2**53 - 1
_MOST_MONEY = 1e9
Count = Annotated[int, Field(ge=1, le=_MOST)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Note = Annotated[str, Field(max_length=2000)]
Scopes = Annotated[set[Scope], Field(min_length=1)]
Models = Annotated[list[Annotated[str, Field(min_length=1, max_length=256)]], Field(max_length=1000)]
_LAST_MOMENT = 253_402_300_799
"""The end of the year 9999: later times are no dates, and most likely milliseconds."""
Moment = Annotated[float, Field(gt=0, le=_LAST_MOMENT, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class QuotaFields(_Strict):
    """What may be used in one period, UTC's hour, day or month, or in all; null for any amount.

    Attributes:
        requests / tokens: counted together over all models.
        cost: in the currency of the configured prices.
    """

    period: Period
    requests: Count | None = None
    tokens: Count | None = None
    cost: Annotated[float, Field(gt=0, le=_MOST_MONEY)] | None = None

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.requests is None and self.tokens is None and self.cost is None:
            raise ValueError("a quota has to limit requests, tokens or cost")
        return self


class LimitFields(_Strict):
    """How much a key may use; null for any amount."""

    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    quotas: list[QuotaFields] = Field(default_factory=list)

    @model_validator(mode="after")
    def _one_quota_for_each_period(self) -> Self:
        periods = [quota.period for quota in self.quotas]
        if len(set(periods)) < len(periods):
            raise ValueError("there can be one quota for each period")
        return self


class CreateKey(_Strict):
    """A key to make.

    Attributes:
        scopes: ``serve`` to ask models, ``optimize`` for jobs, prompts and queries, ``admin`` for everything.
        models: the targets that it may ask; null for all.
        expires_at: Unix seconds, up to the end of the year 9999; null for never.
    """

    name: Name
    note: Note = ""
    scopes: Scopes = Field(default_factory=lambda: {Scope.SERVE})
    models: Models | None = None
    limits: LimitFields = Field(default_factory=LimitFields)
    expires_at: Moment | None = None


class ChangeKey(_Strict):
    """The fields to set; those left out stay as they are. ``limits`` are replaced as a whole."""

    name: Name = ""
    note: Note = ""
    scopes: Scopes = Field(default_factory=set)
    models: Models | None = None
    limits: LimitFields = Field(default_factory=LimitFields)
    expires_at: Moment | None = None


class KeyObject(BaseModel):
    """A key without its secret.

    Attributes:
        prefix: what it begins with.
        created_by: the id of the key that made it, ``api_key`` for that of the settings, ``local`` without.
        last_used_at: to within some seconds; null for never.
    """

    id: str
    object: Literal["api_key"] = "api_key"
    prefix: str
    name: str
    note: str
    scopes: list[Scope]
    models: list[str] | None
    limits: LimitFields
    created_by: str
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    last_used_at: float | None


class NewKeyObject(KeyObject):
    """A new key. ``key`` is the secret: it is shown this once, and stored nowhere."""

    key: str


class KeyPage(BaseModel):
    """Keys, newest first."""

    object: Literal["list"] = "list"
    data: list[KeyObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


class KeyChangeObject(BaseModel):
    """One line of the audit log: the fields that were set, with their new values, by whom and when."""

    id: int
    key_id: str
    change: KeyChange
    fields: JsonObject
    actor: str
    at: float


class KeyChangeList(BaseModel):
    """The changes of a key, newest first."""

    object: Literal["list"] = "list"
    data: list[KeyChangeObject]
