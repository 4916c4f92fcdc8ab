import pytest
from typing_extensions import override

from optimizer.errors import BackendUnavailableError, MisconfiguredError, RequestRefusedError
from optimizer.examples.retrieval import LexicalRetriever
from optimizer.rendering import COMPLETION_STOP, ExamplePlace, render_chat, render_text
from optimizer.rollout import RolloutRunner
from optimizer.seeds import content_seed
from optimizer.types import Candidate, Completion, Example, Message, Query, Rollout, Sampling, Usage
from tests.fakes.chat_model import ScriptedModel

BANK = (
    Example(id="e1", query="How do I bake bread?", answer="Knead, wait, bake."),
    Example(id="e2", query="What is a comet?", answer="Ice and dust."),
    Example(id="e3", query="How is bread kept fresh?", answer="In a cloth."),
)
CANDIDATE = Candidate(id="c1.0.2", system_prompt="Be brief.")
QUERY = Query(id="q7", text="Which bread is easy to bake?")
CONVERSATION = (Message(role="user", content=QUERY.text),)


def make_runner(
    target: ScriptedModel,
    *,
    k: int = 2,
    sampling: Sampling | None = None,
    base_model: bool = False,
    place: ExamplePlace = ExamplePlace.FIRST,
) -> RolloutRunner:
    return RolloutRunner(
        target,
        LexicalRetriever(BANK),
        k=k,
        sampling=sampling or Sampling(temperature=0, max_tokens=64),
        base_model=base_model,
        place=place,
    )


@pytest.mark.parametrize("place", list(ExamplePlace))
async def test_examples_stand_where_the_service_would_show_them(place: ExamplePlace) -> None:
    target = ScriptedModel(["Flat bread.", "Flat bread."])
    shown = (BANK[0], BANK[2])
    await make_runner(target, place=place).run(CANDIDATE, QUERY, seed=5)
    await make_runner(target, place=place, base_model=True).run(CANDIDATE, QUERY, seed=5)
    assert [request.prompt for request in target.requests] == [
        render_chat("Be brief.", shown, CONVERSATION, place),
        render_text("Be brief.", shown, CONVERSATION, place),
    ]


async def test_a_chat_target_is_asked_as_the_service_would_ask_it() -> None:
    target = ScriptedModel(["Flat bread."])
    rollout = await make_runner(target).run(CANDIDATE, QUERY, seed=5)
    request = target.requests[0]
    assert request.prompt == render_chat("Be brief.", (BANK[0], BANK[2]), CONVERSATION)
    assert request.sampling == Sampling(temperature=0, max_tokens=64)
    assert (request.n, request.output) == (1, None)
    assert rollout == Rollout(
        candidate_id="c1.0.2",
        query=QUERY,
        completion=Completion(text="Flat bread.", finish_reason="stop"),
        example_ids=("e1", "e3"),
        usage=Usage(prompt_tokens=1, completion_tokens=1),
        seed=request.seed,
    )


async def test_a_base_model_completes_text_and_stops_before_the_next_query() -> None:
    target = ScriptedModel(["Flat bread."])
    sampling = Sampling(temperature=0, stop=("<END>", *COMPLETION_STOP))
    await make_runner(target, sampling=sampling, base_model=True).run(CANDIDATE, QUERY, seed=5)
    request = target.requests[0]
    assert request.prompt == render_text("Be brief.", (BANK[0], BANK[2]), CONVERSATION)
    assert request.sampling == Sampling(temperature=0, stop=("<END>", "\n# Query:"))


async def test_a_base_model_stops_without_any_setting() -> None:
    target = ScriptedModel(["Flat bread."])
    await make_runner(target, base_model=True).run(CANDIDATE, QUERY, seed=5)
    assert target.requests[0].sampling.stop == COMPLETION_STOP


async def test_no_examples_are_shown_when_none_are_wanted() -> None:
    target = ScriptedModel(["Flat bread."])
    rollout = await make_runner(target, k=0).run(CANDIDATE, QUERY, seed=5)
    assert rollout.example_ids == ()
    assert target.requests[0].prompt == render_chat("Be brief.", (), CONVERSATION)


async def test_the_seed_follows_from_the_run_the_prompt_the_query_and_the_draw() -> None:
    target = ScriptedModel(lambda request: "fine")
    runner = make_runner(target)
    await runner.run(CANDIDATE, QUERY, seed=5)
    await runner.run(Candidate(id="c4.1.0", system_prompt=CANDIDATE.system_prompt), QUERY, seed=5)
    await runner.run(CANDIDATE, QUERY, seed=6)
    await runner.run(CANDIDATE, QUERY, seed=5, draw=1)
    await runner.run(Candidate(id=CANDIDATE.id, system_prompt="Be long."), QUERY, seed=5)
    await runner.run(CANDIDATE, Query(id="q8", text=QUERY.text), seed=5)
    seeds = [request.seed for request in target.requests]
    assert seeds[0] == seeds[1]
    assert len(set(seeds[1:])) == 5


async def test_an_empty_answer_is_an_answer() -> None:
    rollout = await make_runner(ScriptedModel([""])).run(CANDIDATE, QUERY, seed=5)
    assert rollout.completion == Completion(text="", finish_reason="stop")
    assert rollout.failure == ""


async def test_a_refused_request_is_a_rollout_without_an_answer() -> None:
    refused = RequestRefusedError("context too long", backend="fake", status=400)
    rollout = await make_runner(ScriptedModel([refused])).run(CANDIDATE, QUERY, seed=5)
    assert rollout == Rollout(
        candidate_id="c1.0.2",
        query=QUERY,
        completion=None,
        failure="the target refused: context too long",
        example_ids=("e1", "e3"),
        seed=content_seed(5, "target", "Be brief.", "q7"),
    )


class RefusingRetriever(LexicalRetriever):
    """Its model refuses every query."""

    @override
    async def retrieve(self, query: str, k: int) -> tuple[Example, ...]:
        raise RequestRefusedError("flagged", backend="fake", status=400)


async def test_a_query_whose_examples_cannot_be_found_is_a_rollout_without_an_answer() -> None:
    target = ScriptedModel([])
    runner = RolloutRunner(
        target, RefusingRetriever(BANK), k=2, sampling=Sampling(max_tokens=64), base_model=False
    )
    rollout = await runner.run(CANDIDATE, QUERY, seed=5)
    assert (rollout.completion, rollout.failure) == (None, "the embedder refused: flagged")
    assert rollout.example_ids == ()
    assert target.requests == []


@pytest.mark.parametrize(
    "error",
    [
        MisconfiguredError("unknown model", backend="fake", status=404),
        BackendUnavailableError("gone", backend="fake"),
    ],
)
async def test_a_target_that_will_never_answer_is_an_error(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        await make_runner(ScriptedModel([error])).run(CANDIDATE, QUERY, seed=5)
    assert caught.value is error
