"""What all that stands around a model has in common."""

from typing_extensions import override

from optimizer.protocols import ChatModel


class ModelWrapper(ChatModel):
    """A model with something around it, under the same name; subclasses say what in ``complete``."""

    def __init__(self, model: ChatModel) -> None:
        """Around ``model``."""
        self._model = model

    @property
    @override
    def name(self) -> str:
        return self._model.name
