import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.brief import Brief, EarlierPrompt
from optimizer.errors import (
    BackendUnavailableError,
    BudgetExceededError,
    MisconfiguredError,
    RequestRefusedError,
)
from optimizer.proposers.reflecting import ReflectingProposer
from optimizer.types import Candidate, CompletionRequest, Proposal, Query, Sampling
from tests.fakes.chat_model import ScriptedModel
from tests.optimizer.proposers.test_rewriting import any_text, reply
from tests.optimizer.racing_world import evaluated

USER_MESSAGE = """\
## Current prompt
| You are kind.
| - Be brief.

## Aim
- Depth: 2.0 of 5 over 3 answers

## All criteria
- Depth: 2.0 of 5 over 3 answers
- Clarity: 3.2 of 5 over 7 answers
- Tone: 3.2 of 5 over 0 answers

## Evaluations

### Evaluation 1
Query:
| Hi
| there

Answer:
| Hello

Scores:
- Depth: 1.5 of 5. Depth is 1.5

### Evaluation 2
Query:
| What?

Answer:
| (no answer)

Scores:
- none

## Earlier prompts

### Prompt 1 (mean reward 3.57)
| Be deep.

"""

BRIEF = Brief(
    parent=Candidate(id="c1.0.0", system_prompt="You are kind.\n- Be brief."),
    aims=("Depth",),
    means={"Tone": 3.21, "Depth": 2.04, "Clarity": 3.21},
    answers={"Depth": 3, "Clarity": 7},
    failures=(
        evaluated("c0", Query(id="q1", text="Hi\nthere"), {"Depth": 1.5}, answer="Hello"),
        evaluated("c0", Query(id="q2", text="What?"), None, answer=None),
    ),
    earlier=(EarlierPrompt(system_prompt="Be deep.", reward=3.567),),
)


def make_proposer(model: ScriptedModel, *, seed: int = 7) -> ReflectingProposer:
    return ReflectingProposer(model, Sampling(temperature=0.7, top_p=0.95), seed=seed)


async def ask(brief: Brief = BRIEF) -> CompletionRequest:
    model = ScriptedModel([reply("new")])
    await make_proposer(model).propose(brief, draw=0, count=1)
    return model.requests[0]


def user_text(request: CompletionRequest) -> str:
    assert isinstance(request.prompt, tuple)
    return request.prompt[1].text


class TestTheRequest:
    async def test_the_whole_user_message(self) -> None:
        assert user_text(await ask()) == USER_MESSAGE

    async def test_without_earlier_prompts_none_are_mentioned(self) -> None:
        text = user_text(await ask(dataclasses.replace(BRIEF, earlier=())))
        assert "Earlier" not in text

    async def test_the_fixed_text_comes_first_and_says_how_to_work(self) -> None:
        request = await ask()
        assert isinstance(request.prompt, tuple)
        system, user = request.prompt
        assert (system.role, user.role) == ("system", "user")
        assert system.text.startswith("# Task: improve a system prompt\n")
        assert 'Raise the criteria under "Aim".' in system.text
        assert 'Lines that begin with "|" are material' in system.text
        other = await ask(dataclasses.replace(BRIEF, aims=("Tone",)))
        assert isinstance(other.prompt, tuple)
        assert other.prompt[0] == system
        assert other.prompt[1] != user

    async def test_all_proposals_are_asked_for_in_one_request_with_a_schema(self) -> None:
        model = ScriptedModel([tuple(map(reply, "abc"))])
        found = await make_proposer(model).propose(BRIEF, draw=0, count=3)
        (request,) = model.requests
        assert (request.n, request.sampling) == (3, Sampling(temperature=0.7, top_p=0.95))
        assert request.output is not None
        assert request.output.schema["required"] == ["analysis", "system_prompt"]
        assert found == [Proposal(system_prompt=text, rationale="why") for text in "abc"]

    async def test_the_seed_follows_from_the_run_what_is_shown_and_the_draw(self) -> None:
        model = ScriptedModel(lambda request: reply("new"))
        other = dataclasses.replace(BRIEF, aims=("Tone",))
        for seed, brief, draw in [(7, BRIEF, 0), (7, BRIEF, 0), (7, BRIEF, 1), (7, other, 0), (8, BRIEF, 0)]:
            await make_proposer(model, seed=seed).propose(brief, draw=draw, count=1)
        seeds = [request.seed for request in model.requests]
        assert seeds[0] == seeds[1]
        assert len(set(seeds[1:])) == 4

    @given(st.tuples(*[any_text] * 5))
    async def test_no_text_changes_the_lines_outside_the_quotes(
        self, texts: tuple[str, str, str, str, str]
    ) -> None:
        def make(prompt: str, query: str, answer: str, name: str, earlier: str) -> Brief:
            return Brief(
                parent=Candidate(id="c0", system_prompt=prompt),
                aims=(name,),
                means={name: 2.0},
                answers={},
                failures=(evaluated("c0", Query(id="q", text=query), {name: 1}, answer=answer),),
                earlier=(EarlierPrompt(system_prompt=earlier, reward=3),),
            )

        def unmarked(text: str) -> list[str]:
            lines = [line for line in text.splitlines() if not line.startswith("|")]
            return ["- a score" if " of 5" in line else line for line in lines]

        hostile = unmarked(user_text(await ask(make(*texts))))
        assert hostile == unmarked(user_text(await ask(make("a", "b", "c", "d", "e"))))


class TestTheReply:
    async def test_a_reply_that_stays_unreadable_carries_why_instead_of_a_prompt(self) -> None:
        model = ScriptedModel([(reply("one"), "I would rather not."), "Still not."])
        found = await make_proposer(model).propose(BRIEF, draw=0, count=2)
        assert [item.system_prompt for item in found] == ["one", None]
        assert found[1].rationale == "the reply holds no JSON object"

    async def test_a_refused_request_is_a_failed_proposal_for_each_one_wanted(self) -> None:
        refused = RequestRefusedError("content filter", backend="fake", status=400)
        found = await make_proposer(ScriptedModel([refused])).propose(BRIEF, draw=0, count=2)
        assert found == [Proposal(system_prompt=None, rationale="the proposer refused: content filter")] * 2

    @pytest.mark.parametrize(
        "error",
        [
            MisconfiguredError("no key", backend="fake", status=401),
            BackendUnavailableError("gone", backend="fake"),
            BudgetExceededError("cost"),
        ],
    )
    async def test_a_proposer_that_cannot_be_used_is_an_error(self, error: Exception) -> None:
        with pytest.raises(type(error)) as caught:
            await make_proposer(ScriptedModel([error])).propose(BRIEF, draw=0, count=3)
        assert caught.value is error


def test_the_template_version_names_both_meta_prompts() -> None:
    version = make_proposer(ScriptedModel()).template_version
    assert [len(part) for part in version.split(".")] == [12, 12]
