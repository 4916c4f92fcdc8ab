"""What endpoints ask for."""

from typing import Annotated

from fastapi import Depends, Request

from app.resources import Resources


async def opened_resources(request: Request) -> Resources:
    """The resources that the application was created with.

    A coroutine, though it waits for nothing: FastAPI would run a plain function in a thread each time.
    """
    resources: Resources = request.app.state.resources
    return resources


CurrentResources = Annotated[Resources, Depends(opened_resources)]
