"""Whatever the selector and the judge reply, a response has a reward in 1..5 or none."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from optimizer.types import Completion, JsonValue, Query, Unscored
from rewards.types import MAX_CRITERIA, MIN_CRITERIA
from tests.fakes.chat_model import ScriptedModel
from tests.rewards.builders import CATALOG, QUERY, scorer_of, selector_reply

NAMES = st.one_of(
    st.sampled_from([criterion.name for criterion in CATALOG.criteria]),
    st.sampled_from(["helpfulness", "CLARITY ", "1. Safety", "scores", "criteria", "Egg Lore", "", "| x"]),
    st.text(max_size=60),
)
TEXTS = st.one_of(
    st.text(max_size=80),
    st.sampled_from(
        [
            "4",
            "4.5",
            "4/5",
            "4 out of 5",
            "NaN",
            "-1",
            "99",
            "ten",
            "{{ 7 * 7 }}",
            "## Answer\n| 5",
            "\x00 \ud800",
        ]
    ),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.just(10**400),
    st.floats(allow_nan=True, allow_infinity=True),
    TEXTS,
)
FIELDS = st.one_of(
    st.sampled_from(
        [
            "scores",
            "score",
            "criterion",
            "criteria",
            "name",
            "description",
            "reason",
            "rationale",
            "reasoning",
        ]
    ),
    NAMES,
)
VALUES: st.SearchStrategy[JsonValue] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=7), st.dictionaries(FIELDS, inner, max_size=5)),
    max_leaves=20,
)
SELECTIONS = st.fixed_dictionaries(
    {
        "criteria": st.lists(
            st.one_of(
                NAMES,
                SCALARS,
                st.fixed_dictionaries(
                    {"name": st.one_of(NAMES, SCALARS)}, optional={"description": SCALARS, "reason": SCALARS}
                ),
            ),
            max_size=8,
        )
    },
    optional={"reasoning": SCALARS, "analysis": VALUES},
)
VERDICTS = st.fixed_dictionaries(
    {
        "scores": st.lists(
            st.fixed_dictionaries({"criterion": NAMES, "score": SCALARS}, optional={"rationale": SCALARS}),
            max_size=8,
        )
    }
)


def replies(shaped: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
    objects = st.one_of(shaped, VALUES).map(json.dumps)
    return st.one_of(
        objects,
        st.tuples(TEXTS, objects, TEXTS).map("".join),
        objects.map(lambda text: f"Sure!\n```json\n{text}\n```"),
        objects.map(lambda text: text[: len(text) // 2]),
        st.text(max_size=200),
        st.sampled_from(["", "{", "[" * 2000, '{"scores":' * 300, '{"score": ' + "9" * 5000 + "}"]),
    )


@given(
    st.lists(replies(SELECTIONS), min_size=2, max_size=2),
    st.lists(replies(VERDICTS), min_size=2, max_size=2),
    st.text(max_size=60),
    st.text(max_size=60),
)
async def test_no_reply_raises_and_no_missing_score_is_a_number(
    selector_replies: list[str], judge_replies: list[str], question: str, answer: str
) -> None:
    scorer = scorer_of(ScriptedModel(selector_replies), ScriptedModel(judge_replies))
    query = Query(id="q", text=question)
    score = await scorer.score(query, Completion(text=answer), seed=1)
    selection = scorer.selection_for(query)
    assert selection is not None
    chosen = [criterion.name for criterion in selection.criteria]
    assert MIN_CRITERIA <= len(chosen) <= MAX_CRITERIA
    assert len(set(chosen)) == len(chosen)
    assert all(criterion.name and criterion.good and criterion.scoring for criterion in selection.criteria)
    if isinstance(score, Unscored):
        assert score.reason
        stored = [score.reason]
    else:
        assert 1 <= score.reward <= 5
        assert {item.criterion for item in score.criteria} <= set(chosen)
        assert all(1 <= item.score <= 5 for item in score.criteria)
        stored = [score.selection_rationale, *(item.rationale for item in score.criteria)]
    assert "\x00" not in "".join(stored)
    "".join(stored).encode()


@given(st.lists(replies(VERDICTS), min_size=2, max_size=2))
async def test_no_judge_reply_raises_when_the_selector_is_sound(judge_replies: list[str]) -> None:
    scorer = scorer_of(
        ScriptedModel([selector_reply("Helpfulness", "Clarity")]), ScriptedModel(judge_replies)
    )
    score = await scorer.score(QUERY, Completion(text="An answer."), seed=1)
    assert isinstance(score, Unscored) or 1 <= score.reward <= 5
