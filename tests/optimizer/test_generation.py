import pytest

from optimizer.bearing import Bearing
from optimizer.brief import Brief
from optimizer.config import PRESETS, RacingConfig, SearchConfig
from optimizer.errors import BudgetExceededError
from optimizer.generation import RECOMBINED, Generation
from optimizer.prompt_lines import read_prompt
from optimizer.standings import Standings
from optimizer.types import Proposal
from tests.fakes.racing import FakeReader, FakeReflector, Propose, aimed_proposal
from tests.fakes.search import unreadable
from tests.optimizer.builders import make_queries
from tests.optimizer.racing_world import (
    SEED_PROMPT,
    RacingWorld,
    bullets,
    evaluated,
    make_standings,
    step_of,
)

QUERIES = make_queries(8)
PROMPTS = {
    "c0": bullets("Mind the seed."),
    "clear": bullets("Mind the seed.", "Mind Clarity."),
    "deep": bullets("Mind the seed.", "Mind Depth."),
    "new": bullets("Mind Tone."),
}
SCORES: dict[str, dict[str, float]] = {
    "c0": {"Clarity": 2.5, "Depth": 2.5},
    "clear": {"Clarity": 4.5, "Depth": 2.5},
    "deep": {"Clarity": 2.5, "Depth": 3.5},
}


class Workshop:
    """A generation on standings in which all but the new prompt were tried on every query."""

    def __init__(
        self,
        propose: Propose = aimed_proposal,
        *,
        proposals: int = 2,
        prompts: dict[str, str] | None = None,
        reader: FakeReader | None = None,
        **racing: float,
    ) -> None:
        self.config = SearchConfig(
            racing=RacingConfig.model_validate({"length_price": 0.0, **racing}),
            proposals_per_candidate=proposals,
        )
        self.world = RacingWorld()
        self.reflector = FakeReflector(propose)
        self.standings: Standings = make_standings(prompts or PROMPTS)
        self.generation = Generation(self.standings, self.reflector, self.world.observer, self.config, reader)

    async def tried(self, scores: dict[str, dict[str, float]] = SCORES) -> "Workshop":
        for name, found in scores.items():
            evaluations = [
                evaluated(name, query, {criterion: score + place / 100 for criterion, score in found.items()})
                for place, query in enumerate(QUERIES)
            ]
            self.standings.record(step_of(self.standings.candidates[name], *evaluations))
        await self.standings.refit()
        return self


class TestProposals:
    async def test_the_first_round_rewrites_the_leader_alone(self) -> None:
        shop = await Workshop().tried({"c0": SCORES["c0"]})
        made, aims = await shop.generation.propose(1, 3)
        assert {brief.parent.id for brief in shop.reflector.briefs} == {"c0"}
        assert made == [f"c1.{slot}.{place}" for slot in range(3) for place in range(2)]
        assert aims == {"Clarity", "Depth"}
        for name in made:
            candidate = shop.standings.candidates[name]
            assert (candidate.parent_id, candidate.round) == ("c0", 1)
        assert [event.candidate.id for event in shop.world.proposed] == made
        assert {event.template_version for event in shop.world.proposed} == {"fake-2"}

    async def test_later_rounds_rewrite_the_leader_and_others_that_are_best_at_something(self) -> None:
        shop = await Workshop().tried()
        assert shop.standings.leader() == "clear"
        await shop.generation.propose(2, 12)
        parents = [brief.parent.id for brief in shop.reflector.briefs]
        assert parents[0] == "clear"
        assert set(parents) == {"clear", "deep"}, "neither what is worse everywhere nor what has no score"

    async def test_a_brief_holds_what_is_known(self) -> None:
        shop = await Workshop().tried()
        await shop.generation.propose(2, 1)
        (brief,) = shop.reflector.briefs
        assert brief.means == shop.standings.posterior.criterion_means("clear")
        assert brief.answers == {"Clarity": 8, "Depth": 8}
        assert [item.system_prompt for item in brief.earlier] == [PROMPTS["deep"]]
        assert brief.earlier[0].reward == shop.standings.posterior.reward("deep")
        assert len(brief.aims) == 2

    async def test_failures_are_the_parents_worst_on_the_aims_then_the_seed_prompts(self) -> None:
        shop = await Workshop(failures=10, aims=1).tried()
        shop.standings.record(
            step_of(
                shop.standings.candidates["clear"],
                evaluated("clear", make_queries(1, prefix="a")[0], {"Tone": 1.0}),
                evaluated("clear", make_queries(1, prefix="b")[0], None),
            )
        )
        await shop.standings.refit()
        await shop.generation.propose(1, 1)
        (brief,) = shop.reflector.briefs
        assert brief.aims in {("Depth",), ("Clarity",)}
        shown = [(item.rollout.candidate_id, item.rollout.query.id) for item in brief.failures]
        own = [("clear", query.id) for query in QUERIES]
        assert shown == [*own, ("clear", "a000"), ("c0", "q000")], "what says nothing on the aim comes last"

    async def test_the_seed_prompts_failures_are_shown_once(self) -> None:
        shop = await Workshop(failures=32).tried({"c0": SCORES["c0"]})
        await shop.generation.propose(1, 1)
        assert len(shop.reflector.briefs[0].failures) == 8

    async def test_no_more_earlier_prompts_are_shown_than_wanted(self) -> None:
        shop = await Workshop(earlier=0).tried()
        await shop.generation.propose(2, 1)
        assert shop.reflector.briefs[0].earlier == ()

    async def test_equal_briefs_are_different_draws(self) -> None:
        shop = await Workshop(aims=5).tried({"c0": SCORES["c0"]})
        await shop.generation.propose(1, 8)
        seen: list[Brief] = []
        for brief, draw in zip(shop.reflector.briefs, shop.reflector.draws, strict=True):
            assert draw == seen.count(brief)
            seen.append(brief)
        assert max(shop.reflector.draws) >= 3, "with two criteria there are two orders of aims"

    async def test_what_cannot_be_read_is_too_long_or_known_is_no_candidate_and_the_record_says_why(
        self,
    ) -> None:
        texts = [None, "x" * 201, f"{PROMPTS['new']}\n", "Be new."]

        def propose(brief: Brief, draw: int, position: int) -> Proposal:
            return Proposal(system_prompt=texts[position], rationale="no JSON object")

        shop = await Workshop(propose, proposals=4, max_prompt_length=200).tried({"c0": SCORES["c0"]})
        made, _ = await shop.generation.propose(1, 1)
        assert made == ["c1.0.3"]
        assert [(event.proposal_slot, event.reason) for event in shop.world.failed] == [
            (0, "no JSON object"),
            (1, "it is longer than 200 characters"),
            (2, "the same prompt was tried before"),
        ]

    async def test_failed_proposals_of_all_requests_have_keys_of_their_own(self) -> None:
        shop = await Workshop(unreadable).tried()
        made, aims = await shop.generation.propose(2, 4)
        assert made == []
        assert aims
        assert len({event.key for event in shop.world.failed}) == 8

    async def test_a_proposer_out_of_budget_leaves_no_candidate(self) -> None:
        def propose(brief: Brief, draw: int, position: int) -> Proposal:
            raise BudgetExceededError("calls")

        shop = await Workshop(propose).tried()
        with pytest.raises(BudgetExceededError):
            await shop.generation.propose(2, 2)
        assert list(shop.standings.candidates) == list(PROMPTS)


class TestReading:
    async def test_each_new_instruction_is_read_once_against_all_criteria(self) -> None:
        reader = FakeReader(lambda text: Bearing())
        shop = await Workshop(reader=reader).tried()
        await shop.generation.propose(1, 3)
        (first,) = reader.asked
        made = [read_prompt(item.system_prompt or "").instructions for item in shop.reflector.made]
        new = list(dict.fromkeys(text for lines in made for text in lines if text != "Mind the seed."))
        assert first == (tuple(new), ("Clarity", "Depth"))
        await shop.generation.propose(2, 3)
        assert not set(first[0]) & {text for asked, _ in reader.asked[1:] for text in asked}
        assert shop.generation.readings == len(reader.asked)

    async def test_many_are_read_in_several_requests(self) -> None:
        def many(brief: Brief, draw: int, position: int) -> Proposal:
            lines = [f"Mind Depth in way {draw}.{position}.{number}." for number in range(70)]
            return Proposal(system_prompt=bullets(*lines), rationale="much")

        reader = FakeReader(lambda text: None)
        shop = await Workshop(many, proposals=1, reader=reader).tried({"c0": SCORES["c0"]})
        await shop.generation.propose(1, 1)
        assert [len(texts) for texts, _ in reader.asked] == [60, 10]
        assert shop.generation.readings == 2

    async def test_what_is_said_of_an_instruction_counts_instead_of_what_it_was_written_for(self) -> None:
        async def effects(bearing: Bearing | None) -> tuple[float, float]:
            shop = await Workshop(reader=FakeReader(lambda text: bearing)).tried({"c0": SCORES["c0"]})
            await shop.generation.propose(1, 1)
            await shop.standings.refit()
            posterior = shop.standings.posterior
            found = posterior.line_effects(None)
            written = next(line for line in posterior.lines if "way" in line)
            return found["Clarity"][posterior.lines[written]], found["Depth"][posterior.lines[written]]

        assert min(await effects(None)) > 0.1, "the brief aims at both"
        clarity, depth = await effects(Bearing(raises=frozenset({"Clarity"}), lowers=frozenset({"Depth"})))
        assert clarity > 0.1
        assert depth < -0.1
        assert max(await effects(Bearing())) < 0.1

    async def test_where_nothing_is_new_nothing_is_asked(self) -> None:
        reader = FakeReader(lambda text: Bearing())
        shop = await Workshop(unread, reader=reader).tried()
        await shop.generation.propose(1, 2)
        assert not reader.asked
        assert shop.generation.readings == 0


def unread(brief: Brief, draw: int, position: int) -> Proposal:
    return Proposal(system_prompt=None, rationale="not read")


class TestCombinations:
    async def test_what_has_done_best_is_put_together_under_the_leader(self) -> None:
        shop = await Workshop().tried()
        made = await shop.generation.recombine(3, 4)
        first = shop.standings.candidates[made[0]]
        assert (first.id, first.parent_id, first.round) == ("c3.r.0", "clear", 3)
        assert {"Mind Clarity.", "Mind Depth."} <= set(read_prompt(first.system_prompt).instructions)
        assert first.system_prompt.startswith(SEED_PROMPT)
        assert [event.candidate.id for event in shop.world.proposed] == made
        assert {event.template_version for event in shop.world.proposed} == {RECOMBINED}

    async def test_all_combinations_are_different_and_new(self) -> None:
        shop = await Workshop().tried()
        made = await shop.generation.recombine(3, 30)
        texts = [candidate.system_prompt.strip() for candidate in shop.standings.candidates.values()]
        assert len(set(texts)) == len(texts)
        assert 1 < len(made) < 30

    async def test_the_same_round_of_the_same_run_makes_the_same_combinations(self) -> None:
        found = []
        for _ in range(2):
            shop = await Workshop().tried()
            await shop.generation.recombine(3, 6)
            found.append([event.candidate for event in shop.world.proposed])
        assert found[0] == found[1]

    async def test_there_are_no_more_instructions_than_the_settings_allow(self) -> None:
        shop = await Workshop(max_instructions=1).tried()
        for name in await shop.generation.recombine(3, 10):
            assert len(read_prompt(shop.standings.candidates[name].system_prompt).instructions) <= 1

    async def test_what_is_too_long_is_not_made(self) -> None:
        prompts = {name: text.replace("Mind", "Mind " + "x" * 90) for name, text in PROMPTS.items()}
        shop = await Workshop(prompts=prompts, max_prompt_length=240).tried()
        for name in await shop.generation.recombine(3, 10):
            assert len(shop.standings.candidates[name].system_prompt) <= 240

    async def test_prompts_without_lists_leave_nothing_to_combine(self) -> None:
        shop = await Workshop(prompts={"c0": "Be kind.", "clear": "Be clear."}).tried(
            {name: SCORES[name] for name in ("c0", "clear")}
        )
        assert await shop.generation.recombine(3, 4) == []

    async def test_an_empty_prompt_is_no_candidate(self) -> None:
        prompts = {"c0": "- Mind nothing.", "clear": "- Mind Clarity."}
        harmful = {"c0": SCORES["clear"], "clear": {"Clarity": 1.0, "Depth": 1.0}}
        shop = await Workshop(prompts=prompts, length_price=1.0).tried(harmful)
        made = await shop.generation.recombine(3, 10)
        assert all(shop.standings.candidates[name].system_prompt for name in made)

    async def test_the_introduction_that_has_done_most_goes_with_them(self) -> None:
        prompts = {
            "c0": bullets("Mind the seed."),
            "clear": bullets("Mind Clarity.", introduction="You weigh each Clarity word."),
            "plain": "An opening without a list, which says something else.",
        }
        scores = {"c0": SCORES["c0"], "clear": SCORES["clear"], "plain": {"Clarity": 5.0, "Depth": 1.0}}
        shop = await Workshop(prompts=prompts).tried(scores)
        made = await shop.generation.recombine(3, 4)
        assert made
        for name in made:
            assert shop.standings.candidates[name].system_prompt.startswith("You weigh each Clarity word.")


def test_the_settings_of_a_beam_search_make_no_generation() -> None:
    shop = Workshop()
    with pytest.raises(ValueError, match="those of a beam search"):
        Generation(shop.standings, shop.reflector, shop.world.observer, PRESETS["paper"])


async def test_another_seed_draws_other_aims_and_combinations() -> None:
    found = []
    for seed in (0, 1):
        shop = await Workshop(aims=1).tried()
        config = shop.config.model_copy(update={"seed": seed})
        generation = Generation(shop.standings, shop.reflector, shop.world.observer, config)
        await generation.propose(2, 10)
        await generation.recombine(2, 6)
        texts = [event.candidate.system_prompt for event in shop.world.proposed]
        found.append(([brief.aims for brief in shop.reflector.briefs], texts))
    assert found[0][0] != found[1][0]
    assert found[0][1] != found[1][1]
