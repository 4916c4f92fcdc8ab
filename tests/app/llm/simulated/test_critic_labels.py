"""The judge that grades by digits sees what the text judge sees, and is less sure."""

import json
import math
from collections.abc import Mapping
from statistics import fmean

import pytest

from app.backend_settings import SimulatedSettings
from app.llm.simulated import wire
from app.llm.simulated.backend import SimulatedBackend
from app.llm.simulated.critic_labels import TASK, grade, read_beliefs, token_logprobs
from app.llm.simulated.draws import Draw
from app.llm.simulated.models import CRITIC
from optimizer.types import JsonValue
from rewards.label_judge import LabelJudge
from rewards.label_probabilities import expected_labels
from tests.app.llm.simulated.messages import judge_message
from tests.app.llm.simulated.test_critic_judge import BAD, COLD, GOOD
from tests.fakes.chat_model import ScriptedModel
from tests.rewards.builders import GREEDY, digits_reply, selection

CRITERIA = {"Empathy": "how to score", "Clarity": "how to score"}


def mean(belief: Mapping[str, float]) -> float:
    return sum(float(label) * share for label, share in belief.items()) / sum(belief.values())


def test_what_an_answer_shows_is_expected_above_what_it_lacks() -> None:
    good, bad = judge_message(GOOD, CRITERIA), judge_message(BAD, CRITERIA)
    empathy = [(mean(read_beliefs(good, seed)[0]), mean(read_beliefs(bad, seed)[0])) for seed in range(40)]
    assert fmean(high for high, _ in empathy) > fmean(low for _, low in empathy) + 1.5


def test_it_writes_the_likeliest_digits_and_draws_where_it_is_warm() -> None:
    message = judge_message(BAD, CRITERIA)
    beliefs = read_beliefs(message, 0)
    assert grade(message, 0, COLD).split("\n") == [
        max(belief, key=lambda label: belief[label]) for belief in beliefs
    ]
    warm = {grade(message, 0, Draw(temperature=1, seed=seed, index=0)) for seed in range(30)}
    assert len(warm) > 1


def test_the_expectation_tells_apart_what_a_digit_does_not() -> None:
    beliefs = [read_beliefs(judge_message(GOOD, CRITERIA), seed)[0] for seed in range(60)]
    digits = [max(belief, key=lambda label: belief[label]) for belief in beliefs]
    assert len(set(map(mean, beliefs))) == 60 > len(set(digits))


def test_the_token_written_stands_first_and_takes_a_place() -> None:
    told = token_logprobs("2\n4", [{"1": 0.5, "2": 0.3, "4": 0.2}, {"4": 1.0}], 2)
    content = told["content"]
    assert isinstance(content, list)
    first, _, second = (entry for entry in content if isinstance(entry, dict))
    alternatives = first["top_logprobs"]
    assert isinstance(alternatives, list)
    assert [entry["token"] for entry in alternatives if isinstance(entry, dict)] == ["2", "1"]
    assert first["token"] == "2"
    assert first["logprob"] == pytest.approx(math.log(0.3))
    assert second["token"] == "4"


async def _asked(**fields: JsonValue) -> tuple[dict[str, JsonValue], str]:
    model = ScriptedModel([digits_reply({"4": 1.0}, {"3": 1.0})])
    await LabelJudge(model, sampling=GREEDY).judge("Q?", GOOD, selection(), seed=5)
    prompt = model.requests[0].prompt
    assert not isinstance(prompt, str)
    assert prompt[0].text.startswith(TASK)
    messages: JsonValue = [{"role": message.role, "content": message.text} for message in prompt]
    body = {"model": CRITIC, "messages": messages, "temperature": 0, "seed": 1, **fields}
    reply = SimulatedBackend(SimulatedSettings()).answer(
        "POST", "/v1/chat/completions", json.dumps(body).encode()
    )
    choice = json.loads(reply.frames[0])["choices"][0]
    return choice["logprobs"], choice["message"]["content"]


async def test_the_backend_gives_log_probabilities_for_real_requests_where_they_are_asked_for() -> None:
    logprobs, text = await _asked(logprobs=True, top_logprobs=20)
    labels = expected_labels(logprobs, 2)
    assert all(label is not None and 1 <= label <= 5 for label in labels)
    assert len(text.split("\n")) == 2
    assert (await _asked())[0] is None


async def test_no_alternatives_are_given_unasked_and_other_tasks_have_none() -> None:
    logprobs, text = await _asked(logprobs=True)
    content = logprobs["content"]
    assert isinstance(content, list)
    assert {len(entry["top_logprobs"]) for entry in content if isinstance(entry, dict)} == {0}  # type: ignore[arg-type]
    assert wire.Choice(text=text, finish_reason="stop").logprobs is None
