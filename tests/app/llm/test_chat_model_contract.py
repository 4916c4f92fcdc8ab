from typing import cast

import pytest

from tests.app.llm.opening import open_over_http, open_simulated
from tests.contracts.chat_model import ChatModelContract, OpenModel


class TestChatModels(ChatModelContract):
    @pytest.fixture(params=[open_over_http, open_simulated])
    def open_model(self, request: pytest.FixtureRequest) -> OpenModel:
        return cast("OpenModel", request.param)
