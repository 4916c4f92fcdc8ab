import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.errors import (
    BackendUnavailableError,
    BudgetExceededError,
    MalformedReplyError,
    MisconfiguredError,
    RequestRefusedError,
)
from optimizer.proposers.rewriting import PROMPT_LIMIT, RewritingProposer, read_proposal
from optimizer.types import (
    BeamPath,
    Candidate,
    Completion,
    CompletionRequest,
    CriterionScore,
    Evaluation,
    JsonObject,
    JsonValue,
    Message,
    Proposal,
    Query,
    Rollout,
    Sampling,
    Score,
    Scored,
    Step,
    Unscored,
)
from tests.fakes.chat_model import ScriptedModel
from tests.optimizer.builders import make_path, make_step

USER_MESSAGE = """\
## Current prompt
| You are kind.
| - Be brief.

## Evaluations

### Evaluation 1
Query:
| Hi
| there

Answer:
| Hello

Scores:
- Clarity: 3.0 of 5. Too long.
- Depth: 4.5 of 5. Fine.

### Evaluation 2
Query:
| What?

Answer:
| (no answer)

Scores:
- none

## Earlier prompts

### Prompt 1 (mean reward 3.40)
| prompt of c0

### Prompt 2 (not scored)
| prompt of c1.0.0

"""

any_text = st.text(alphabet=st.characters(exclude_categories=()), max_size=60) | st.lists(
    st.sampled_from(
        ["## Evaluations", "### Prompt 1", "Scores:", "| ", "\n", "\r", "\u2028", "{{ 1 }}", "{% if", "a"]
    ),
    max_size=10,
).map("".join)


def make_evaluation(query: str, answer: str | None, score: Score) -> Evaluation:
    completion = None if answer is None else Completion(text=answer)
    rollout = Rollout(candidate_id="c2.0.0", query=Query(id=query, text=query), completion=completion)
    return Evaluation(round=2, rollout=rollout, score=score)


def make_scored(*verdicts: tuple[str, float, str]) -> Scored:
    criteria = tuple(
        CriterionScore(criterion=name, score=score, rationale=rationale)
        for name, score, rationale in verdicts
    )
    return Scored(reward=3, criteria=criteria)


def end_in(prompt: str, evaluations: Sequence[Evaluation], *ancestors: Step) -> BeamPath:
    step = Step(candidate=Candidate(id="c2.0.0", system_prompt=prompt), evaluations=tuple(evaluations))
    return BeamPath(steps=(*ancestors, step))


def reply(system_prompt: JsonValue, analysis: JsonValue = "why") -> str:
    return json.dumps({"analysis": analysis, "system_prompt": system_prompt})


def make_proposer(model: ScriptedModel, *, history: int = 5, seed: int = 7) -> RewritingProposer:
    return RewritingProposer(model, Sampling(temperature=0.2, top_p=0.95), history=history, seed=seed)


async def ask(path: BeamPath, *, history: int = 5) -> CompletionRequest:
    model = ScriptedModel([reply("new")])
    await make_proposer(model, history=history).propose(path, round_number=3, slot=1, draw=0, count=1)
    return model.requests[0]


def user_text(request: CompletionRequest) -> str:
    assert isinstance(request.prompt, tuple)
    return request.prompt[1].text


class TestTheRequest:
    async def test_the_whole_user_message(self) -> None:
        path = end_in(
            "You are kind.\n- Be brief.",
            [
                make_evaluation(
                    "Hi\nthere", "Hello", make_scored(("Clarity", 3, "Too\nlong."), ("Depth", 4.5, "Fine."))
                ),
                make_evaluation("What?", None, Unscored(reason="the target refused")),
            ],
            make_step("c0", 0, [3.4]),
            make_step("c1.0.0", 1, [None]),
        )
        assert user_text(await ask(path)) == USER_MESSAGE

    async def test_the_fixed_text_comes_first_so_that_a_prefix_cache_can_hit(self) -> None:
        one = await ask(make_path("0.0", [[3], [2]]))
        other = await ask(make_path("0.1", [[1]]))
        assert isinstance(one.prompt, tuple)
        assert isinstance(other.prompt, tuple)
        assert [message.role for message in one.prompt] == ["system", "user"]
        assert one.prompt[0] == other.prompt[0]
        assert one.prompt[0].text.startswith("# Task: improve a system prompt\n")
        assert one.prompt[1] != other.prompt[1]

    async def test_all_proposals_are_asked_for_in_one_request_with_a_schema(self) -> None:
        model = ScriptedModel([tuple(map(reply, "abc"))])
        await make_proposer(model).propose(make_path("0.0", [[3]]), round_number=3, slot=1, draw=0, count=3)
        request = model.requests[0]
        assert len(model.requests) == 1
        assert (request.n, request.sampling) == (3, Sampling(temperature=0.2, top_p=0.95))
        assert request.output is not None
        assert request.output.name == "prompt_proposal"
        assert request.output.schema["required"] == ["analysis", "system_prompt"]

    async def test_the_seed_follows_from_the_run_what_is_shown_and_the_draw(self) -> None:
        model = ScriptedModel(lambda request: reply("new"))
        path, other = make_path("0.0", [[3]]), make_path("0.0", [[4]])
        for seed, shown, round_number, slot, draw in [
            (7, path, 1, 0, 0),
            (7, path, 2, 1, 0),
            (7, path, 1, 1, 1),
            (7, other, 1, 0, 0),
            (8, path, 1, 0, 0),
        ]:
            await make_proposer(model, seed=seed).propose(
                shown, round_number=round_number, slot=slot, draw=draw, count=1
            )
        seeds = [request.seed for request in model.requests]
        assert seeds[0] == seeds[1]
        assert len(set(seeds[1:])) == 4

    async def test_without_ancestors_no_earlier_prompts_are_mentioned(self) -> None:
        assert "## Earlier prompts" not in user_text(await ask(make_path("0.0", [[3]])))

    @pytest.mark.parametrize(
        ("history", "shown"), [(1, []), (2, ["c4.0.0"]), (3, ["c3.0.0", "c4.0.0"]), (99, None)]
    )
    async def test_the_last_prompts_of_the_lineage_are_shown_oldest_first(
        self, history: int, shown: list[str] | None
    ) -> None:
        path = make_path("0.0", [[3]] * 6)
        text = user_text(await ask(path, history=history))
        _, _, earlier = text.partition("## Earlier prompts")
        ids = [line.removeprefix("| prompt of ") for line in earlier.splitlines() if line.startswith("|")]
        assert ids == (["c0", *(f"c{number}.0.0" for number in range(1, 5))] if shown is None else shown)

    @given(st.tuples(*[any_text] * 6))
    async def test_no_text_changes_the_lines_outside_the_quotes(
        self, texts: tuple[str, str, str, str, str, str]
    ) -> None:
        def make(prompt: str, query: str, answer: str, name: str, why: str, ancestor: str) -> BeamPath:
            evaluation = make_evaluation(query, answer, make_scored((name, 3, why)))
            first = Step(candidate=Candidate(id="c0", system_prompt=ancestor), evaluations=())
            return end_in(prompt, [evaluation], first)

        def unmarked(text: str) -> list[str]:
            lines = [line for line in text.splitlines() if not line.startswith("|")]
            return ["- a score" if " of 5. " in line else line for line in lines]

        hostile = unmarked(user_text(await ask(make(*texts))))
        plain = unmarked(user_text(await ask(make("a", "b", "c", "d", "e", "f"))))
        assert hostile == plain

    async def test_a_long_rationale_is_cut(self) -> None:
        evaluation = make_evaluation("q", "a", make_scored(("Depth", 2, "x" * 9_000)))
        text = user_text(await ask(end_in("p", [evaluation])))
        assert f"- Depth: 2.0 of 5. {'x' * 400}\n" in text


class TestTheReply:
    async def test_proposals_come_in_the_order_of_the_completions(self) -> None:
        model = ScriptedModel(
            [(reply("one", "first"), f"Here:\n```json\n{reply('two')}\n```", reply(" three\n"))]
        )
        proposals = await make_proposer(model).propose(
            make_path("0.0", [[3]]), round_number=1, slot=0, draw=0, count=3
        )
        assert proposals == [
            Proposal(system_prompt="one", rationale="first"),
            Proposal(system_prompt="two", rationale="why"),
            Proposal(system_prompt="three", rationale="why"),
        ]

    async def test_a_reply_that_stays_unreadable_carries_why_instead_of_a_prompt(self) -> None:
        model = ScriptedModel([(reply("one"), "I would rather not.", reply("three")), "Still not."])
        proposals = await make_proposer(model).propose(
            make_path("0.0", [[3]]), round_number=1, slot=0, draw=0, count=3
        )
        assert [item.system_prompt for item in proposals] == ["one", None, "three"]
        assert proposals[1].rationale == "the reply holds no JSON object"

    async def test_a_repaired_reply_is_a_proposal(self) -> None:
        model = ScriptedModel([reply(""), reply("new")])
        proposals = await make_proposer(model).propose(
            make_path("0.0", [[3]]), round_number=1, slot=0, draw=0, count=1
        )
        assert proposals == [Proposal(system_prompt="new", rationale="why")]
        assert isinstance(model.requests[1].prompt, tuple)
        assert model.requests[1].prompt[2] == Message(role="assistant", content=reply(""))

    async def test_a_refused_request_is_a_failed_proposal_for_each_one_wanted(self) -> None:
        refused = RequestRefusedError("content filter", backend="fake", status=400)
        proposals = await make_proposer(ScriptedModel([refused])).propose(
            make_path("0.0", [[3]]), round_number=1, slot=0, draw=0, count=3
        )
        assert (
            proposals == [Proposal(system_prompt=None, rationale="the proposer refused: content filter")] * 3
        )

    async def test_a_refused_repair_costs_one_proposal_alone(self) -> None:
        refused = RequestRefusedError("context too long", backend="fake", status=400)
        model = ScriptedModel([(reply("one"), "nothing"), refused])
        proposals = await make_proposer(model).propose(
            make_path("0.0", [[3]]), round_number=1, slot=0, draw=0, count=2
        )
        assert [item.system_prompt for item in proposals] == ["one", None]

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
            await make_proposer(ScriptedModel([error])).propose(
                make_path("0.0", [[3]]), round_number=1, slot=0, draw=0, count=3
            )
        assert caught.value is error

    @given(st.lists(st.text(max_size=40), min_size=4, max_size=4), st.integers(0, 99))
    async def test_no_reply_whatever_it_says_ends_a_run(self, texts: list[str], cut: int) -> None:
        broken = reply(texts[0])
        model = ScriptedModel([(broken[:cut] + broken[cut + 1 :], texts[1]), texts[2], texts[3]])
        proposals = await make_proposer(model).propose(
            make_path("0.0", [[3]]), round_number=1, slot=0, draw=0, count=2
        )
        assert len(proposals) == 2
        for proposal in proposals:
            assert proposal.system_prompt is None or proposal.system_prompt.strip()


class TestReadProposal:
    @pytest.mark.parametrize(
        "system_prompt", [None, 7, "", " \n", ["text"], {"text": "x"}, True, "\x00\ud800"]
    )
    def test_a_prompt_has_to_be_text(self, system_prompt: JsonValue) -> None:
        with pytest.raises(MalformedReplyError, match="'system_prompt' has to be the new prompt as text"):
            read_proposal({"analysis": "why", "system_prompt": system_prompt})

    @pytest.mark.parametrize("reply", [{}, {"analysis": "why"}, {"prompt": "x"}])
    def test_a_prompt_has_to_be_there(self, reply: JsonObject) -> None:
        with pytest.raises(MalformedReplyError, match="'system_prompt' has to be"):
            read_proposal(reply)

    def test_a_runaway_prompt_is_refused(self) -> None:
        longest = "x" * PROMPT_LIMIT
        assert read_proposal({"system_prompt": longest}).system_prompt == longest
        with pytest.raises(MalformedReplyError, match="longer than 20000 characters"):
            read_proposal({"system_prompt": longest + "x"})

    @pytest.mark.parametrize("analysis", [None, 7, ["why"], {}])
    def test_a_missing_analysis_is_no_fault(self, analysis: JsonValue) -> None:
        assert read_proposal({"analysis": analysis, "system_prompt": "x"}).rationale == ""

    @given(st.text(alphabet=st.characters(exclude_categories=()), min_size=1, max_size=40))
    def test_a_prompt_can_be_sent_and_stored(self, text: str) -> None:
        proposal = read_proposal({"analysis": text, "system_prompt": f"a{text}b"})
        for kept in (proposal.system_prompt, proposal.rationale):
            assert kept is not None
            assert kept.encode().decode() == kept
            assert "\x00" not in kept

    def test_lines_tabs_and_spelling_of_a_prompt_are_kept(self) -> None:
        text = "Be kind.\n\t- Écoute \u0645\u06cc\u200c\u062e \U0001f469\u200d\U0001f467"
        assert read_proposal({"system_prompt": f"{text}\r\n"}).system_prompt == text


def test_the_template_version_names_both_meta_prompts() -> None:
    first, second = (make_proposer(ScriptedModel()).template_version for _ in range(2))
    assert first == second
    assert [len(part) for part in first.split(".")] == [12, 12]
