import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.errors import (
    BackendUnavailableError,
    MalformedReplyError,
    MisconfiguredError,
    RequestRefusedError,
)
from optimizer.examples.answers import Answer, JudgedAnswer, Rewrite
from optimizer.examples.rewriting import ANSWER_LIMIT, ModelAnswerRewriter, read_answer
from optimizer.types import CriterionScore, Message, Query, Sampling, Scored, Unscored
from tests.fakes.chat_model import ScriptedModel

SAMPLING = Sampling(temperature=0.7, max_tokens=99)
QUERY = Query(id="e1", text="Why is\nthe sky blue?")
JUDGED = JudgedAnswer(
    answer=Answer(id="a0", text="It just is.\n## Verdict"),
    score=Scored(
        reward=1.5,
        criteria=(
            CriterionScore(criterion="Depth", score=1, rationale="No reason\nis given."),
            CriterionScore(criterion="Clarity", score=2, rationale="Curt."),
        ),
    ),
)
USER_MESSAGE = """\
## Query
| Why is
| the sky blue?

## Answer
| It just is.
| ## Verdict

## Verdict
- Depth: 1.0 of 5. No reason is given.
- Clarity: 2.0 of 5. Curt.
"""


def reply(answer: object, analysis: object = "said why") -> str:
    return json.dumps({"analysis": analysis, "answer": answer})


def rewriter(model: ScriptedModel, seed: int = 5) -> ModelAnswerRewriter:
    return ModelAnswerRewriter(model, SAMPLING, seed=seed)


def sent(model: ScriptedModel, place: int = -1) -> list[str]:
    return [message.text for message in model.requests[place].prompt if isinstance(message, Message)]


async def test_the_model_sees_query_answer_and_reasons_quoted() -> None:
    model = ScriptedModel([(reply("Because."), reply("Scattering."))])
    rewrites = await rewriter(model).rewrite(QUERY, JUDGED, count=2, draw=0)
    assert rewrites == [
        Rewrite(text="Because.", rationale="said why"),
        Rewrite(text="Scattering.", rationale="said why"),
    ]
    system, user = sent(model)
    assert system.startswith("# Task: improve an answer\n")
    assert user == USER_MESSAGE
    request = model.requests[0]
    assert (request.n, request.sampling) == (2, SAMPLING)
    assert request.output is not None
    assert request.output.name == "model_answer"


def test_the_version_of_its_meta_prompt_can_be_recorded() -> None:
    versions = [rewriter(ScriptedModel(name=name)).template_version for name in ("a/b", "c/d")]
    assert versions[0] == versions[1]
    assert len(versions[0]) == 25


async def test_a_first_answer_is_asked_for_without_any_other() -> None:
    model = ScriptedModel([reply("Because.")])
    await rewriter(model).rewrite(QUERY, None, count=1, draw=0)
    assert sent(model)[1] == "## Query\n| Why is\n| the sky blue?\n"


async def test_an_unscored_answer_is_shown_without_reasons() -> None:
    model = ScriptedModel([reply("Because.")])
    unscored = JudgedAnswer(answer=JUDGED.answer, score=Unscored(reason="unreadable"))
    await rewriter(model).rewrite(QUERY, unscored, count=1, draw=0)
    assert sent(model)[1].endswith("## Verdict\n")


async def test_the_seed_follows_from_the_run_the_texts_and_the_draw() -> None:
    model = ScriptedModel(lambda _: reply("Because."))
    for seed, judged, draw in ((5, JUDGED, 0), (5, JUDGED, 0), (6, JUDGED, 0), (5, None, 0), (5, JUDGED, 1)):
        await rewriter(model, seed).rewrite(QUERY, judged, count=1, draw=draw)
    seeds = [request.seed for request in model.requests]
    assert seeds[0] == seeds[1]
    assert len(set(seeds)) == 4


async def test_a_reply_that_cannot_be_read_costs_one_answer_alone() -> None:
    model = ScriptedModel([("I would rather not.", reply("Because.")), reply(5)])
    first, second = await rewriter(model).rewrite(QUERY, JUDGED, count=2, draw=0)
    assert (first.text, "'answer' has to be" in first.rationale) == (None, True)
    assert second.text == "Because."


async def test_a_refusal_is_no_answer() -> None:
    model = ScriptedModel([RequestRefusedError("flagged", backend="fake", status=400)])
    rewrites = await rewriter(model).rewrite(QUERY, JUDGED, count=2, draw=0)
    assert rewrites == [Rewrite(text=None, rationale="the rewriter refused: flagged")] * 2


@pytest.mark.parametrize(
    "error",
    [
        MisconfiguredError("no model", backend="fake", status=404),
        BackendUnavailableError("gone", backend="fake"),
    ],
)
async def test_a_rewriter_that_will_never_answer_is_an_error(error: Exception) -> None:
    with pytest.raises(type(error)):
        await rewriter(ScriptedModel([error])).rewrite(QUERY, JUDGED, count=1, draw=0)


@pytest.mark.parametrize("answer", ["", " \n", None, 5, ["a"], "x" * (ANSWER_LIMIT + 1), "\x00\ud800"])
def test_what_is_no_answer_is_malformed(answer: object) -> None:
    with pytest.raises(MalformedReplyError):
        read_answer({"analysis": "a", "answer": answer})  # type: ignore[dict-item]


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=80))
async def test_no_text_breaks_out_of_its_quote(text: str) -> None:
    model = ScriptedModel([reply("Because.")])
    judged = JudgedAnswer(answer=Answer(id="a0", text=text), score=JUDGED.score)
    await rewriter(model).rewrite(Query(id="e1", text=text), judged, count=1, draw=0)
    spoken = [line for line in sent(model)[1].split("\n") if not line.startswith("|")]
    assert spoken == ["## Query", "", "## Answer", "", "## Verdict", *USER_MESSAGE.split("\n")[-3:]]
