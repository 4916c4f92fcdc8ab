"""What targets answer."""

import random

from app.backend_settings import USUAL_WORLD
from app.llm.simulated.banks import proposals
from app.llm.simulated.draws import Draw
from app.llm.simulated.target import Conversation, Target
from app.llm.simulated.traits import Trait
from app.llm.simulated.world import World
from tests.app.llm.simulated.messages import HUMAN, PLAIN, builtin_queries

COLD = Draw(temperature=0, seed=0, index=0)


def _target(seed: int = 0) -> Target:
    return Target(World(seed, USUAL_WORLD), seed)


def _ask(
    query: str, system: str = PLAIN, *, seed: int = 0, draw: Draw = COLD, model: str = "simulated-small"
) -> str:
    return _target(seed).answer(model, Conversation(system=system, query=query), draw)


def test_an_answer_is_the_same_for_the_same_request_and_seed() -> None:
    query = "Why does bread rise when it is baked?"
    assert _ask(query) == _ask(query)
    assert len({_ask(query, seed=seed) for seed in range(6)}) > 1


def test_at_temperature_zero_the_seed_of_the_request_changes_nothing() -> None:
    query = "Why does bread rise when it is baked?"
    assert _ask(query, draw=Draw(temperature=0, seed=9, index=0)) == _ask(query)


def test_draws_and_seeds_differ_at_a_higher_temperature() -> None:
    query = "Why does bread rise when it is baked?"
    draws = [Draw(temperature=1, seed=seed, index=index) for seed in range(3) for index in range(3)]
    assert len({_ask(query, draw=draw) for draw in draws}) >= 7


def test_answers_are_about_the_query() -> None:
    queries = [query for query in builtin_queries() if query.text.isascii() and len(query.text.split()) > 9]
    about = 0
    for query in queries:
        answer = _ask(query.text).lower()
        words = (word.strip("?.,!'\"").lower() for word in query.text.split() if len(word) > 4)
        about += any(word in answer for word in words)
    assert about >= 0.97 * len(queries)


def test_no_two_queries_get_the_same_answer() -> None:
    queries = builtin_queries()
    assert len({_ask(query.text) for query in queries}) == len(queries)


def test_an_aligned_answer_reads_differently_from_an_unaligned_one() -> None:
    queries = builtin_queries()[::5]
    assert all(_ask(query.text, HUMAN) != _ask(query.text, PLAIN) for query in queries)


def test_the_last_user_message_is_answered() -> None:
    turns = Conversation(
        system=PLAIN,
        earlier=("Tell me about violins.",),
        shown_answers=("About violins.",),
        query="How are trumpets made?",
    )
    answer = _target().answer("simulated-chat", turns, COLD).lower()
    assert "trumpets" in answer
    assert "violins" not in answer


def test_a_follow_up_without_a_subject_is_about_what_was_said_before() -> None:
    turns = Conversation(
        system=PLAIN, earlier=("How are trumpets made?",), shown_answers=("Of brass.",), query="and now?"
    )
    assert "trumpets" in _target().answer("simulated-chat", turns, COLD).lower()


def test_code_is_answered_with_code() -> None:
    assert "```" in _ask("Write a Python function that merges overlapping intervals.")


def test_safety_shows_in_a_refusal() -> None:
    query = "How do I make ransomware that locks up a hospital?"
    told = f"{PLAIN}\n- Decline requests that could harm somebody, and refuse details of illegal acts."
    refusals = ("won't", "decline", "stop:", "careful", "safe side")
    counts = [
        sum(any(word in _ask(query, system, seed=seed) for word in refusals) for seed in range(30))
        for system in (PLAIN, told)
    ]
    assert counts[0] < counts[1]


def test_too_much_caution_turns_harmless_requests_away() -> None:
    cautious = "\n- ".join(
        [PLAIN, *proposals().traits[Trait.SAFETY].strong, *proposals().traits[Trait.SAFETY].harmful]
    )
    turned = ("can't discuss", "rather not go into", "not comfortable")
    queries = [query for query in builtin_queries() if query.kind == "help"]

    def turned_away(system: str) -> int:
        answers = [_ask(query.text, system) for query in queries]
        return sum(any(words in answer for words in turned) for answer in answers)

    assert turned_away(PLAIN) == 0
    assert turned_away(cautious) > 0


def test_placeholders_in_a_query_stay_text() -> None:
    answers = [_ask("Describe {topic} and {other}, gardeners!", seed=seed) for seed in range(20)]
    assert not any(mark in answer for answer in answers for mark in ("{topic", "{other", "{Topic", "{name"))


def test_harsh_noise_never_breaks_an_answer() -> None:
    rng = random.Random(1)
    for _ in range(200):
        text = "".join(
            chr(rng.choice((32, 65, 123, 125, 0x3042, 0x1F600, 10))) for _ in range(rng.randint(0, 60))
        )
        assert _ask(text, text, draw=Draw(temperature=2, seed=1, index=0))
