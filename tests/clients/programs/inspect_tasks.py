"""Evaluations for Inspect, as its users write them: ``inspect eval inspect_tasks.py@question``."""

from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.model import GenerateConfig, ResponseSchema
from inspect_ai.scorer import includes
from inspect_ai.solver import generate, use_tools
from inspect_ai.tool import Tool, tool
from inspect_ai.util import json_schema
from pydantic import BaseModel

QUESTION = "Why is the sea blue?"


class Weather(BaseModel):
    """What a structured answer holds."""

    city: str
    degrees: float


@tool
def weather() -> Tool:
    async def execute(city: str) -> str:
        """The weather in a city.

        Args:
            city: its name.
        """
        return f"rain in {city}"

    return execute


@tool
def time() -> Tool:
    async def execute(city: str) -> str:
        """The time of day in a city.

        Args:
            city: its name.
        """
        return f"noon in {city}"

    return execute


@task
def question() -> Task:
    return Task(dataset=[Sample(input=QUESTION, target="an answer")], scorer=includes())


@task
def tools() -> Task:
    return Task(
        dataset=[Sample(input=QUESTION, target="rain in Bern; noon in Lima")],
        solver=[use_tools([weather(), time()]), generate()],
        scorer=includes(),
    )


@task
def structured() -> Task:
    schema = ResponseSchema(name="weather", json_schema=json_schema(Weather))
    return Task(
        dataset=[Sample(input=QUESTION, target='"city": "Bern"')],
        config=GenerateConfig(response_schema=schema),
        scorer=includes(),
    )
