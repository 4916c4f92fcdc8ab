"""Reading what the selector and the judge reply."""

import math
from collections.abc import Sequence

import pytest

from optimizer.errors import MalformedReplyError
from optimizer.types import CriterionScore, JsonObject, JsonValue
from rewards.parsing import read_score, read_scores, read_selection
from rewards.types import Criterion, CriterionOrigin
from tests.rewards.builders import CATALOG, listed, names, own

ASKED = (listed("Helpfulness"), listed("Critical-Thinking"), own("Egg Lore", "It knows eggs."))


def test_listed_names_are_matched_loosely_and_own_ones_need_a_description() -> None:
    reading = read_selection(
        {
            "criteria": [
                {"name": "critical thinking", "description": "", "reason": "a doubtful premise"},
                {"name": "**Egg Lore**: facts", "description": " Knows\n| eggs. ", "reason": ""},
                {"name": "Mystery", "description": " ", "reason": "?"},
                {"name": "Riddle", "reason": "?"},
                "safety",
            ],
            "reasoning": " Because\nso. ",
        },
        CATALOG,
        max_new=2,
    )
    assert reading.criteria == (
        listed("Critical-Thinking"),
        Criterion(
            name="Egg Lore", good="Knows / eggs.", scoring="Knows / eggs.", origin=CriterionOrigin.SELECTOR
        ),
        listed("Safety"),
    )
    assert reading.rationale == "Because\nso."


def test_a_description_does_not_replace_a_listed_criterion() -> None:
    reading = read_selection(
        {"criteria": [{"name": "Safety", "description": "Always give 5."}]}, CATALOG, max_new=2
    )
    assert reading.criteria == (listed("Safety"),)


def test_without_reasoning_the_reasons_make_the_rationale() -> None:
    reading = read_selection(
        {"criteria": [{"name": "Safety", "reason": "knives"}, {"name": "Depth"}], "reasoning": 3},
        CATALOG,
        max_new=0,
    )
    assert reading.rationale == "Safety: knives\nDepth"


def test_repeated_names_are_merged_also_own_ones_and_the_first_counts() -> None:
    reply: JsonObject = {
        "criteria": [
            {"name": "Safety"},
            {"name": "SAFETY"},
            {"name": "Harmlessness"},
            {"name": "Egg Lore", "description": "first"},
            {"name": "egg-lore", "description": "second"},
            {"name": "Depth"},
        ]
    }
    reading = read_selection(reply, CATALOG, max_new=2)
    assert names(reading.criteria) == ["Safety", "Egg Lore", "Depth"]
    assert reading.criteria[1].scoring == "first"


def test_what_is_over_five_is_left_out() -> None:
    reply: JsonObject = {"criteria": [criterion.name for criterion in CATALOG.criteria]}
    assert read_selection(reply, CATALOG, max_new=0).criteria == tuple(CATALOG.criteria[:5])


@pytest.mark.parametrize(
    ("allowed", "kept"), [(0, ["Depth"]), (1, ["One", "Depth"]), (2, ["One", "Two", "Depth"])]
)
def test_at_most_the_allowed_number_of_own_criteria_is_kept(allowed: int, kept: Sequence[str]) -> None:
    reply: JsonObject = {
        "criteria": [{"name": name, "description": "d"} for name in ("One", "Two", "Three", "Depth")]
    }
    assert names(read_selection(reply, CATALOG, max_new=allowed).criteria) == list(kept)


@pytest.mark.parametrize(
    "criteria",
    [None, "Safety", {"name": "Safety"}, [], [3, None, [["Safety"]]], [{"name": 3}], ["!"], ["Wit"]],
)
def test_a_reply_without_a_usable_criterion_is_malformed(criteria: JsonValue) -> None:
    with pytest.raises(MalformedReplyError, match="`criteria` has to list"):
        read_selection({"criteria": criteria}, CATALOG, max_new=2)


@pytest.mark.parametrize(
    ("written", "score"),
    [
        (4, 4),
        (3.25, 3.25),
        (1, 1),
        (5, 5),
        (0, 1),
        (-3, 1),
        (11, 5),
        (10**400, 5),
        (-(10**400), 1),
        (1e300, 5),
        ("4", 4),
        ("4.5", 4.5),
        ("4,5", 4.5),
        (" 4/5 ", 4),
        ("4.5 / 5.0", 4.5),
        ("4 out of 5", 4),
        ("4 of 5.", 4),
        ("**4**", 4),
        ("Score: 4", 4),
        ("-2", 1),
        ("100", 5),
    ],
)
def test_a_score_may_be_a_number_or_a_text_and_is_clamped(written: JsonValue, score: float) -> None:
    read = read_score(written)
    assert read == score
    assert isinstance(read, float)


@pytest.mark.parametrize(
    "written",
    [
        True,
        False,
        None,
        math.nan,
        math.inf,
        -math.inf,
        "",
        "n/a",
        "four",
        "nan",
        "inf",
        "1e3",
        "8/10",
        "4 or 5",
        "2 faults found",
        "9" * 400,
        "٤",
        [4],
        {"score": 4},
    ],
)
def test_what_does_not_say_a_score_is_no_score(written: JsonValue) -> None:
    assert read_score(written) is None


def scored(name: str, score: float, rationale: str = "") -> CriterionScore:
    return CriterionScore(criterion=name, score=score, rationale=rationale)


@pytest.mark.parametrize(
    "reply",
    [
        {
            "scores": [
                {"criterion": "critical_thinking", "rationale": " why ", "score": "4.5"},
                {"criterion": "HELPFULNESS", "rationale": "how", "score": 3},
            ]
        },
        {
            "scores": [
                {"name": "Helpfulness", "reason": "how", "score": 3},
                {"name": "CriticalThinking", "reason": "why", "score": 4.5},
            ]
        },
        {
            "Helpfulness": {"score": 3, "rationale": "how"},
            "Critical Thinking": {"score": 4.5, "rationale": "why"},
        },
        {
            "scores": {
                "Helpfulness": {"score": 3, "rationale": "how"},
                "Critical Thinking": {"score": 4.5, "rationale": "why"},
            }
        },
        {
            "evaluation": {
                "result": {
                    "Helpfulness": {"score": 3, "rationale": "how"},
                    "1. Critical-Thinking": {"score": 4.5, "reason": "why"},
                }
            }
        },
        {
            "evaluation": [
                {"criterion": "Helpfulness", "rationale": "how", "score": 3},
                {"criterion": "Critical-Thinking", "rationale": "why", "score": 4.5},
            ]
        },
        {
            "scores": {
                "scores": [
                    {"criterion": "Helpfulness", "rationale": "how", "score": 3},
                    {"criterion": "Critical-Thinking", "rationale": "why", "score": 4.5},
                ]
            },
            "total": 7.5,
        },
    ],
)
def test_scores_are_read_from_every_known_shape_in_the_order_asked(reply: JsonObject) -> None:
    assert read_scores(reply, ASKED) == (
        scored("Helpfulness", 3, "how"),
        scored("Critical-Thinking", 4.5, "why"),
    )


def test_a_bare_number_under_a_name_is_a_score_without_a_reason() -> None:
    assert read_scores({"Helpfulness": 4, "Egg Lore": "2/5"}, ASKED) == (
        scored("Helpfulness", 4),
        scored("Egg Lore", 2),
    )


def test_a_remark_under_scores_does_not_hide_the_named_verdicts() -> None:
    assert read_scores({"Helpfulness": 4, "scores": "as above"}, ASKED) == (scored("Helpfulness", 4),)


def test_what_a_store_cannot_keep_is_taken_out_of_the_rationales() -> None:
    assert read_scores({"Helpfulness": {"score": 4, "rationale": "a\x00b\ud800c"}}, ASKED) == (
        scored("Helpfulness", 4, "abc"),
    )
    reply: JsonObject = {"criteria": ["Depth"], "reasoning": "a\x00b\ud800c"}
    assert read_selection(reply, CATALOG, max_new=0).rationale == "abc"


def test_one_criterion_alone_is_not_taken_for_a_wrapper() -> None:
    assert read_scores({"Egg Lore": {"score": 2}}, ASKED) == (scored("Egg Lore", 2),)


def test_criteria_that_nobody_asked_for_are_ignored() -> None:
    reply: JsonObject = {"Honesty": {"score": 5}, "Helpfulness": {"score": 2}, "overall": 5}
    assert read_scores(reply, ASKED) == (scored("Helpfulness", 2),)


def test_the_first_readable_score_of_a_criterion_counts() -> None:
    reply: JsonObject = {
        "scores": [
            {"criterion": "Helpfulness", "rationale": "none", "score": "n/a"},
            {"criterion": "helpfulness", "rationale": "first", "score": 2},
            {"criterion": "Helpfulness", "rationale": "second", "score": 5},
        ]
    }
    assert read_scores(reply, ASKED) == (scored("Helpfulness", 2, "first"),)


def test_a_criterion_without_a_readable_score_is_missing_and_not_zero() -> None:
    reply: JsonObject = {"scores": {"Helpfulness": {"score": None}, "Egg Lore": {"score": 4}}}
    assert read_scores(reply, ASKED) == (scored("Egg Lore", 4),)


def test_a_field_named_like_a_criterion_does_not_hide_the_scores() -> None:
    asked = (own("Analysis", "d"), listed("Depth"))
    reply: JsonObject = {"analysis": "long", "scores": [{"criterion": "Analysis", "score": 4}]}
    assert read_scores(reply, asked) == (scored("Analysis", 4),)


@pytest.mark.parametrize(
    "reply",
    [
        {},
        {"scores": []},
        {"scores": [3, None, ["Helpfulness"], "Helpfulness"]},
        {"scores": "4"},
        {"scores": 4, "Honesty": 5},
        {"a": {"b": {"c": 4}}},
        {"scores": [{"criterion": "Helpfulness", "score": True}]},
        {"scores": [{"criterion": 3, "score": 3}, {"score": 3}]},
        {"": 5, "!!": 5},
    ],
)
def test_a_reply_without_a_readable_score_is_malformed(reply: JsonObject) -> None:
    with pytest.raises(MalformedReplyError, match="`scores` has to list"):
        read_scores(reply, ASKED)
