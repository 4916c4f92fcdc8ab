"""Messages to the critic, made with the very templates that the roles use, and queries to try."""

import json
from collections.abc import Mapping, Sequence
from importlib import resources

from optimizer.quoting import quote, quote_inline
from optimizer.templating import PromptTemplate
from optimizer.types import JsonObject, Query

PLAIN = "You are a helpful assistant."
HUMAN = """You are a careful, warm assistant. You want people to leave with something they can use.
- Answer what was asked first and give a concrete next step.
- Use plain words and a clear structure; put steps in numbered order.
- Say how sure you are, and never invent facts or sources.
- If a question rests on a mistaken assumption, point it out politely before answering.
- When you lack live information or cannot act in the world, say so and suggest what the person can do.
- If somebody is upset, acknowledge the feeling before you give advice.
- When a request is unclear, ask one clarifying question.
- Decline requests that would harm someone, briefly, and offer a safe alternative."""


def builtin_queries() -> list[Query]:
    """The queries that ship with the project."""
    text = resources.files("app.datasets.builtin").joinpath("queries.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    return [Query(id=row["id"], text=row["text"], kind=row["kind"]) for row in rows]


def _template(package: str, name: str, *variables: str) -> PromptTemplate:
    return PromptTemplate.load(package, name, variables=frozenset(variables))


_JUDGE = _template("rewards.templates", "judge.md.j2")
_JUDGE_USER = _template("rewards.templates", "judge_user.md.j2", "criteria", "rationale", "query", "answer")
_SELECT = _template("rewards.templates", "select_criteria.md.j2", "criteria", "max_new", "most")
_SELECT_USER = _template("rewards.templates", "select_criteria_user.md.j2", "query")
_PROPOSE = _template("optimizer.templates", "propose_system.md.j2")
_PROPOSE_USER = _template(
    "optimizer.templates", "propose_user.md.j2", "current_prompt", "evaluations", "earlier_prompts"
)


_READ_USER = _template("optimizer.templates", "read_instructions_user.md.j2", "criteria", "instructions")


def reader_message(instructions: Sequence[str], criteria: Sequence[str]) -> str:
    return _READ_USER.render(
        {
            "criteria": [quote_inline(name) for name in criteria],
            "instructions": [quote(text) for text in instructions],
        }
    )


def judge_system() -> str:
    return _JUDGE.render({})


def judge_message(answer: str, criteria: Mapping[str, str], query: str = "What is a fjord?") -> str:
    lines = [{"name": quote_inline(name), "scoring": quote_inline(text)} for name, text in criteria.items()]
    return _JUDGE_USER.render(
        {"criteria": lines, "rationale": quote("They fit."), "query": quote(query), "answer": quote(answer)}
    )


def selector_system(criteria: Mapping[str, str], *, new: int = 2) -> str:
    lines = [{"name": quote_inline(name), "good": quote_inline(text)} for name, text in criteria.items()]
    return _SELECT.render({"criteria": lines, "max_new": new, "most": 5})


def selector_message(query: str) -> str:
    return _SELECT_USER.render({"query": quote(query)})


def proposer_system() -> str:
    return _PROPOSE.render({})


def proposer_message(
    prompt: str,
    scores: Mapping[str, float],
    *,
    query: str = "How do I repair a leaking garden hose?",
    earlier: Sequence[tuple[str, str]] = (),
) -> str:
    """``earlier``: prompts with their reward as the template shows it."""
    judged = [
        {
            "criterion": quote_inline(name),
            "score": quote_inline(f"{score:.1f}"),
            "rationale": quote_inline("as seen"),
        }
        for name, score in scores.items()
    ]
    evaluation = {"query": quote(query), "answer": quote("Some answer."), "scores": judged}
    shown = [{"prompt": quote(text), "reward": quote_inline(reward)} for text, reward in earlier]
    return _PROPOSE_USER.render(
        {"current_prompt": quote(prompt), "evaluations": [evaluation], "earlier_prompts": shown}
    )


def chat(model: str, *turns: tuple[str, str], **fields: object) -> dict[str, object]:
    """A request body; ``turns`` are (role, text)."""
    messages = [{"role": role, "content": text} for role, text in turns]
    return {"model": model, "messages": messages, "temperature": 0, **fields}


def as_object(text: str) -> JsonObject:
    value = json.loads(text)
    assert isinstance(value, dict)
    return value
