"""What endpoints ask for."""

from typing import Annotated

from fastapi import Depends, Request

from app.resources import Resources


def opened_resources(request: Request) -> Resources:
    """The resources that the application was created with."""
    resources: Resources = request.app.state.resources
    return resources


CurrentResources = Annotated[Resources, Depends(opened_resources)]
