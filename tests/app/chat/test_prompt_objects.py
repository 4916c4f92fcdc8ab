"""OpenAI's prompt objects, from our store."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chat.prompt_objects import fill, read_prompt
from app.errors import ApiError
from tests.app.chat.serving import BASE_MODEL, MODEL, Service, add_version, question

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,10}", fullmatch=True)


def refused(call: Callable[[], object]) -> str | None:
    with pytest.raises(ApiError) as caught:
        call()
    assert caught.value.answer.status == 400
    return caught.value.answer.param


@given(values=st.dictionaries(NAMES, st.text(), min_size=1, max_size=5), between=st.text("ab{}% \n"))
def test_a_text_comes_in_exactly_as_it_is_and_is_never_looked_at_again(
    values: dict[str, str], between: str
) -> None:
    template = "".join(f"<{{{{{name}}}}}|>" for name in values)
    assert fill(template, values) == "".join(f"<{value}|>" for value in values.values())
    assert fill(f"{{{{ {next(iter(values))} }}}}", {next(iter(values)): between}) == between


@pytest.mark.parametrize(
    "hostile",
    [
        "{{other}}",
        "{% for x in range(9) %}",
        "{{ 7*7 }}",
        "\\g<0>",
        "\\1",
        "{0.__class__}",
        "%s",
        "$x",
    ],
)
def test_what_looks_like_a_template_stays_text(hostile: str) -> None:
    assert fill("Hi {{a}}, {{b}}{ {c} }.", {"a": hostile, "b": "B"}) == f"Hi {hostile}, B{{ {{c}} }}."


def test_names_that_are_missing_or_too_many_are_listed() -> None:
    with pytest.raises(ApiError, match="not given: 'b', 'c'"):
        fill("{{a}} {{b}} {{ c }}", {"a": "1"})
    with pytest.raises(ApiError, match="no such variables: 'x'"):
        fill("{{a}}", {"a": "1", "x": "2"})


@pytest.mark.parametrize(
    ("value", "param"),
    [
        ("pv_1", "prompt"),
        ([], "prompt"),
        ({"id": "a", "extra": 1}, "prompt"),
        ({}, "prompt.id"),
        ({"id": 3}, "prompt.id"),
        ({"id": "a\0"}, "prompt.id"),
        ({"id": "a" * 300}, "prompt.id"),
        ({"id": "a", "version": 3}, "prompt.version"),
        ({"id": "a", "variables": ["x"]}, "prompt.variables"),
        ({"id": "a", "variables": {"x": 3}}, "prompt.variables.x"),
        ({"id": "a", "variables": {"x": {"type": "input_image", "image_url": "y"}}}, "prompt.variables.x"),
        ({"id": "a", "variables": {"x": {"type": "input_text", "text": None}}}, "prompt.variables.x"),
    ],
)
def test_a_prompt_that_cannot_be_read_is_refused(value: Any, param: str) -> None:
    assert refused(lambda: read_prompt(value)) == param


async def test_each_way_to_name_a_version_finds_it(service: Service) -> None:
    prompts = service.resources.prompts
    first = await add_version(prompts, "Be {{manner}}.", label="candidate")
    await add_version(prompts, "Be kind.")
    ways = [
        (first.id, None),
        (first.id, "1"),
        (MODEL, "1"),
        (MODEL, "candidate"),
        ("candidate", None),
    ]
    for name, version in ways:
        prompt = {"id": name, "version": version, "variables": {"manner": "{{brief}}"}}
        response = await service.ask(question(prompt=prompt))
        assert response.status_code == 200, response.text
        assert response.headers["x-drpo-prompt-version"] == first.id
        assert service.sent.body["messages"] == [
            {"role": "system", "content": "Be {{brief}}."},
            {"role": "user", "content": "Why is the sea blue?"},
        ]
        assert "prompt" not in service.sent.body


async def test_a_model_alone_means_what_production_points_to(service: Service) -> None:
    version = await add_version(service.resources.prompts, "Be kind.")
    response = await service.ask(question(prompt={"id": MODEL}))
    assert response.headers["x-drpo-prompt-version"] == version.id


@pytest.mark.parametrize("name", [MODEL, "the version"])
async def test_the_prompt_says_for_which_model_it_is(service: Service, name: str) -> None:
    version = await add_version(service.resources.prompts, "Be kind.")
    body = question(prompt={"id": version.id if name == "the version" else name})
    del body["model"]
    response = await service.ask(body)
    assert response.json()["model"] == MODEL
    assert response.headers["x-drpo-prompt-version"] == version.id


async def test_placeholders_stay_where_no_prompt_object_is_sent(service: Service) -> None:
    await add_version(service.resources.prompts, "Be {{manner}}.")
    await service.ask(question())
    assert "Be {{manner}}." in str(service.sent.body)


@pytest.mark.parametrize(
    ("prompt", "fields", "status", "param"),
    [
        ({"id": "pv_nothing"}, {}, 404, "prompt.id"),
        ({"id": "nothing"}, {}, 404, "prompt.id"),
        ({"id": "nothing"}, {"model": None}, 404, "prompt.id"),
        ({"id": MODEL, "version": "9"}, {}, 404, "prompt.version"),
        ({"id": MODEL, "version": "99999999999999999999"}, {}, 404, "prompt.version"),
        ({"id": MODEL, "version": "nothing"}, {}, 404, "prompt.version"),
        ({"id": BASE_MODEL}, {}, 400, "prompt.id"),
        ({"id": "production", "version": "2"}, {}, 400, "prompt.version"),
        ({"id": MODEL}, {}, 400, "prompt.variables"),
        ({"id": MODEL, "variables": {"x": "y", "z": "y"}}, {}, 400, "prompt.variables"),
        ({"id": MODEL}, {"drpo": {"label": "production"}}, 400, "prompt"),
        ({"id": MODEL}, {"drpo": {"align": False}}, 400, "prompt"),
    ],
)
async def test_what_names_no_prompt_is_refused(
    service: Service, prompt: dict[str, object], fields: dict[str, Any], status: int, param: str
) -> None:
    await add_version(service.resources.prompts, "Be {{x}}.")
    response = await service.ask(question(prompt=prompt, **fields))
    assert response.status_code == status, response.text
    assert response.json()["error"]["param"] == param
    assert service.fake.requests == []


async def test_a_request_without_model_and_prompt_is_refused(service: Service) -> None:
    response = await service.ask({"messages": [{"role": "user", "content": "a"}]})
    assert (response.status_code, response.json()["error"]["param"]) == (400, "model")
