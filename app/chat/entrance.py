"""Letting one request in: before anything is looked up for it, and once more as it is to be sent."""

from app.access.admission import Admission
from app.access.estimates import SizedRequest
from app.access.key_limits import UNLIMITED
from app.access.principal import Principal
from app.chat.calls import PreparedCall
from app.resources import Resources
from app.telemetry.current import timed
from app.telemetry.timing import Part
from optimizer.types import JsonObject


class Entrance:
    """The way of one request past the limits of whoever makes it.

    Finding examples may ask an embedding model, which costs money. So a request that will be refused anyway
    is refused before that, by what its caller has sent.

    Attributes:
        size: of the caller's body, in bytes.
    """

    def __init__(self, resources: Resources, principal: Principal) -> None:
        """The entrance for a request of ``principal``."""
        self.size = 0
        self._resources = resources
        self._principal = principal
        self._admission: Admission | None = None

    async def enter(self, model: str, body: JsonObject) -> None:
        """Let the request in as its caller has sent it to the target ``model``.

        Raises:
            ApiError: 429, a rate or a quota is exceeded.
            StoreUnavailableError: the caller's quota cannot be asked.
        """
        if self._admission is not None or self._principal.limits == UNLIMITED:
            return
        models = self._resources.models
        request = SizedRequest(body=body, size=self.size)
        price = models.backend_price(models.target(model).backend)
        with timed(Part.STORE):
            self._admission = await self._resources.access.desk.admit(self._principal, request, price)

    async def let_in(self, call: PreparedCall, *, size: int) -> Admission:
        """Let ``call`` in, of which ``size`` bytes are sent: the model is that which is really asked.

        Raises:
            ApiError: 404, the caller may not ask it; 429, a rate or a quota is exceeded.
            StoreUnavailableError: the caller's quota cannot be asked.
        """
        models = self._resources.models
        self._principal.check_model(call.model, (*models.target_names(), *models.embedder_names()))
        request = SizedRequest(body=call.body, size=size, generates=call.path != "embeddings")
        price = models.backend_price(call.backend)
        with timed(Part.STORE):
            if self._admission is None:
                return await self._resources.access.desk.admit(self._principal, request, price)
            await self._admission.grow(request, price)
        return self._admission

    def withdraw(self) -> None:
        """The request will not be sent: what was taken for it is put back."""
        if self._admission is not None:
            self._admission.withdraw()
