from typing import Any

from app.commands.evidence import describe_evidence, describe_judge

JUDGE: dict[str, Any] = {
    "answers": 60,
    "unscored_share": 0.05,
    "judged_again": 20,
    "agreement": 0.874,
    "mean_absolute_difference": 0.2,
    "order_effect": 0.0,
    "length_bias": 0.31,
    "saturated_share": 0.62,
    "tied_share": 0.2,
}
GATE: dict[str, Any] = {
    "difference": 0.3,
    "seed_gain": {"queries": 30, "difference": 0.4, "low": 0.2, "high": 0.6},
    "groups": [
        {"group": "safety", "queries": 4, "difference": -0.5, "at_most": -0.1, "is_loss": True},
        {"group": "code", "queries": 3, "difference": -0.1, "at_most": 0.4, "is_loss": False},
        {"group": "poems", "queries": 3, "difference": 0.1, "at_most": 0.6, "is_loss": False},
    ],
    "warnings": ["look at q7"],
}
NOTHING: dict[str, Any] = dict.fromkeys(JUDGE)


def test_gains_losses_judge_and_doubts_are_told_line_by_line() -> None:
    assert describe_evidence(GATE, JUDGE) == [
        "gain over the seed prompt: +0.40 [+0.20, +0.60]",
        "worse on (queries): safety -0.50 (4, shown), code -0.10 (3)",
        "judge: agreement with itself 0.87 on 20 answers, score and length correlate +0.31, "
        "62% of scores are 5, 20% of pairs tie, 5% unscored",
        "note: look at q7",
    ]


def test_a_gain_over_the_seed_prompt_that_is_the_gain_itself_is_not_told_twice() -> None:
    alone = {**GATE, "seed_gain": {"queries": 1, "difference": 0.3, "low": None, "high": None}, "groups": []}
    assert describe_evidence({**alone, "warnings": []}, None) == []
    other = {**alone, "difference": 0.1, "warnings": []}
    assert describe_evidence(other, None) == ["gain over the seed prompt: +0.30"]


def test_a_gate_of_an_older_version_is_told_as_far_as_it_goes() -> None:
    assert describe_evidence({"verdict": "kept", "reason": "x"}, None) == []


def test_a_judge_of_whom_nothing_is_known_is_told_so() -> None:
    assert describe_judge(NOTHING) == "too little was judged to say anything"
