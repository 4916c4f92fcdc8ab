"""The simulated rewriter works on what was scored lowest, from its message alone, and errs."""

import json
from statistics import fmean

from app.llm.simulated.answers import read_signs
from app.llm.simulated.critic_judge import judge, judge_harshly
from app.llm.simulated.critic_rewriter import rewrite
from app.llm.simulated.draws import Draw
from app.llm.simulated.plain import plain
from app.llm.simulated.traits import Trait
from optimizer.quoting import quote, quote_inline
from optimizer.templating import PromptTemplate
from tests.app.llm.simulated.messages import judge_message

QUERY = "I feel so alone since my divorce, and I don't know what to do with my evenings."
POOR = "Statistically, it is common.\n\nThere are many resources about evenings that you could look into."
SCORES = {"Empathy": 1.5, "Helpfulness": 2.0, "Clarity": 5.0}
_USER = PromptTemplate.load(
    "optimizer.templates",
    "rewrite_answer_user.md.j2",
    variables=frozenset({"query", "has_answer", "answer", "scores"}),
)


def message(answer: str | None = POOR, scores: dict[str, float] = SCORES) -> str:
    shown = [
        {
            "criterion": quote_inline(name),
            "score": quote_inline(f"{score:.1f}"),
            "rationale": quote_inline("as seen"),
        }
        for name, score in scores.items()
    ]
    return _USER.render(
        {
            "query": quote(QUERY),
            "has_answer": int(answer is not None),
            "answer": quote(answer or ""),
            "scores": shown,
        }
    )


def rewritten(text: str, *, seed: int = 0, world: int = 0, index: int = 0) -> str:
    reply = json.loads(rewrite(text, world, Draw(temperature=0.7, seed=seed, index=index)))
    assert set(reply) == {"analysis", "answer"}
    answer = reply["answer"]
    assert isinstance(answer, str)
    return answer


def balance(answer: str, trait: Trait) -> int:
    signs = read_signs(plain(answer), trait)
    return len(signs.shows) - len(signs.lacks)


def mean_score(answer: str, *, harsh: bool) -> float:
    asked = judge_message(answer, dict.fromkeys(SCORES, "how"), QUERY)
    ask = judge_harshly if harsh else judge
    reply = json.loads(ask(asked, 0, Draw(temperature=0, seed=0, index=0)))
    return fmean(item["score"] for item in reply["scores"])


def test_the_reply_depends_on_the_message_and_the_draw_alone() -> None:
    assert rewritten(message()) == rewritten(message())
    assert len({rewritten(message(), index=index) for index in range(8)}) >= 5
    assert len({rewritten(message(), world=world) for world in range(4)}) > 1


def test_most_rewrites_are_better_where_the_answer_was_weak() -> None:
    answers = [rewritten(message(), seed=seed) for seed in range(80)]
    before = balance(POOR, Trait.EMPATHY) + balance(POOR, Trait.HELPFULNESS)
    gains = [balance(text, Trait.EMPATHY) + balance(text, Trait.HELPFULNESS) - before for text in answers]
    assert sum(gain > 0 for gain in gains) > 60
    assert fmean(gains) > 1


def test_it_errs() -> None:
    fair = max(
        (rewritten(message(), seed=seed) for seed in range(20)), key=lambda text: mean_score(text, harsh=True)
    )
    answers = [rewritten(message(fair), seed=seed) for seed in range(200)]
    assert sum(text == fair for text in answers) > 2
    assert sum(mean_score(text, harsh=True) < mean_score(fair, harsh=True) for text in answers) > 10


def test_without_scores_it_still_writes_an_answer() -> None:
    assert rewritten(message(scores={}))
    assert rewritten(message(scores={"Charm": 1.0}))


def test_a_first_answer_shows_something_of_what_the_query_calls_for() -> None:
    answers = [rewritten(message(None, {}), seed=seed) for seed in range(20)]
    assert all(answers)
    assert len(set(answers)) > 10
    assert fmean(sum(balance(text, trait) for trait in Trait) for text in answers) > 1


def test_the_harsh_judge_is_stricter_than_the_other() -> None:
    for answer in (POOR, rewritten(message())):
        assert mean_score(answer, harsh=True) < mean_score(answer, harsh=False)
