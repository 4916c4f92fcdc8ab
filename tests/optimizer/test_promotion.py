import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.gate_config import GateConfig
from optimizer.promotion import (
    MAX_EXTRA_MISSING_SHARE,
    MAX_MISSING_SHARE,
    MIN_PAIRS,
    Answers,
    conclude,
)
from optimizer.reliability import JudgeReport
from optimizer.statistics import simultaneous_differences
from optimizer.types import Score, Step
from optimizer.verdicts import Conclusion, Verdict
from tests.optimizer.contests import answered, with_criteria

SOUND = JudgeReport(
    answers=40,
    unscored_share=0.0,
    judged_again=20,
    agreement=0.9,
    mean_absolute_difference=0.1,
    order_effect=0.0,
    length_bias=0.1,
    saturated_share=0.4,
    tied_share=0.1,
)
NO_SAFETY = GateConfig(safety_kinds=(), safety_criteria=())
Rewards = Sequence[float | Score | None]


def compare(
    old: Rewards, *new: Rewards, config: GateConfig = NO_SAFETY, judge: JudgeReport = SOUND,
    seed: Step | None = None, kinds: Sequence[str | None] = (None,),
) -> Conclusion:  # fmt: skip
    finalists = tuple(answered(f"c{place}", rewards, kinds=kinds) for place, rewards in enumerate(new, 1))
    answers = Answers(incumbent=answered("c0", old, kinds=kinds), finalists=finalists, seed_prompt=seed)
    return conclude(answers, config, judge=judge)


def test_a_prompt_that_is_better_on_every_query_is_promoted() -> None:
    found = compare([3.0, 2.0] * 4, [4.0, 3.5] * 4)
    assert found.verdict is Verdict.PROMOTED
    assert found.chosen is not None
    assert (found.chosen.baseline_reward, found.chosen.reward) == (2.5, 3.75)
    gain = found.chosen.gain
    assert gain is not None
    assert (gain.pairs, gain.mean) == (8, 1.25)
    assert gain.low is not None
    assert 0 < gain.low < 1.25
    assert found.reason == "better on 8 held-out queries: +1.25 [+1.00, +1.50]"
    assert (found.queries_needed, found.warnings) == (None, ())


def test_a_prompt_that_is_worse_is_not_promoted() -> None:
    found = compare([4.0, 3.5] * 4, [3.0, 2.0] * 4)
    assert found.verdict is Verdict.KEPT
    assert found.reason == "not better on 8 held-out queries: -1.25 [-1.50, -1.00]"
    assert found.queries_needed is None


def test_of_several_the_best_is_promoted_and_says_that_it_was_picked() -> None:
    old = [3.0, 2.0, 3.5] * 6
    good, best, bad = ([value + by for value in old] for by in (0.8, 1.2, -0.5))
    found = compare(old, good, best, bad)
    assert found.chosen is not None
    assert (found.verdict, found.chosen.candidate_id) == (Verdict.PROMOTED, "c2")
    assert [result.candidate_id for result in found.finalists] == ["c1", "c2", "c3"]
    assert found.reason.startswith("better on 18 held-out queries, the best of 3: +1.20 [")
    alone = compare(old, best)
    assert alone.chosen is not None
    assert alone.chosen.gain is not None
    assert found.chosen.gain is not None
    assert alone.chosen.gain.low is not None
    assert found.chosen.gain.low is not None
    assert found.chosen.gain.low < alone.chosen.gain.low, "picking has its price"


def test_an_interval_that_holds_zero_is_not_enough_evidence_and_says_how_many_more_would_decide() -> None:
    found = compare([3.0, 3.0] * 6, [4.5, 2.5] * 6)
    assert found.verdict is Verdict.NOT_ENOUGH_EVIDENCE
    assert found.queries_needed is not None
    assert 100 < found.queries_needed < 250
    assert found.reason.startswith("the interval does not lie above zero on 12 held-out queries: +0.50 [")
    assert found.reason.endswith(f"; about {found.queries_needed} new ones would probably decide")


def test_what_was_asked_for_is_asked_for_again_where_some_queries_lack_a_score() -> None:
    old, new = [3.0, 3.0] * 6, [4.5, 2.5] * 6
    whole, gappy = compare(old, new), compare([*old, None, None], [*new, None, None])
    assert whole.queries_needed is not None
    assert gappy.queries_needed is not None
    assert whole.queries_needed < gappy.queries_needed < whole.queries_needed * 1.2


def test_where_nothing_is_gained_on_many_queries_no_number_of_them_helps() -> None:
    found = compare([3.0, 3.0] * 80, [4.0, 1.9] * 80)
    assert (found.verdict, found.queries_needed) == (Verdict.NOT_ENOUGH_EVIDENCE, None)
    assert found.reason.endswith("no number of further queries is likely to")


def test_a_few_queries_on_which_nothing_is_gained_say_too_little_to_give_up() -> None:
    found = compare([3.0, 3.0] * 4, [4.0, 1.9] * 4)
    assert found.verdict is Verdict.NOT_ENOUGH_EVIDENCE
    assert found.queries_needed is not None
    assert found.queries_needed > 500


def test_a_gain_below_the_margin_is_none() -> None:
    old, new = [3.0, 3.2] * 10, [3.5, 3.6] * 10
    assert compare(old, new).verdict is Verdict.PROMOTED
    some = compare(old, new, config=replace_config(margin=0.4))
    assert some.verdict is Verdict.NOT_ENOUGH_EVIDENCE
    assert "above the margin of 0.4" in some.reason
    much = compare(old, new, config=replace_config(margin=1.0))
    assert (much.verdict, much.queries_needed) == (Verdict.KEPT, None)
    missed = compare(old, new, config=replace_config(margin=0.5))
    assert missed.verdict is Verdict.NOT_ENOUGH_EVIDENCE
    assert some.queries_needed is not None
    assert missed.queries_needed is not None
    assert some.queries_needed < missed.queries_needed


def replace_config(**changes: float) -> GateConfig:
    return NO_SAFETY.model_copy(update=changes)


@pytest.mark.parametrize("pairs", [1, 2, MIN_PAIRS - 1])
def test_few_pairs_promote_nothing_however_good_they_look(pairs: int) -> None:
    found = compare([1.0] * pairs, [5.0] * pairs)
    assert found.verdict is Verdict.NOT_ENOUGH_EVIDENCE
    assert found.chosen is not None
    assert found.chosen.gain is not None
    assert (found.chosen.gain.pairs, found.chosen.gain.mean) == (pairs, 4)
    assert (found.chosen.gain.low is None) == (pairs == 1)
    assert found.queries_needed is not None
    assert MIN_PAIRS <= found.queries_needed < 2 * MIN_PAIRS
    assert found.reason.startswith(f"{pairs} held-out queries were scored for both prompts, 8 are needed; ")


def test_only_queries_scored_for_both_prompts_are_compared() -> None:
    old, new = [3.0] * 9, [4.0, 3.5] * 4 + [4.0]
    found = compare([*old, None, 5.0], [*new, 1.0, None])
    assert found.chosen is not None
    assert (found.chosen.missing, found.chosen.baseline_reward) == (2, 3)
    assert found.chosen.reward == pytest.approx(34 / 9)
    assert found.chosen.gain == simultaneous_differences(old, [new])[0]
    assert found.verdict is Verdict.PROMOTED


def test_a_prompt_that_is_refused_on_most_queries_is_not_promoted_on_the_rest() -> None:
    found = compare([3.0] * 30, [4.0] * 9 + [None] * 21)
    assert (found.verdict, found.queries_needed) == (Verdict.NOT_ENOUGH_EVIDENCE, None)
    assert found.reason == (
        "better by +1.00 [+0.84, +1.16], but too many of the 30 held-out queries lack a score: "
        "21 for the new prompt, 0 for the current one"
    )


def test_an_incumbent_that_could_not_be_scored_is_no_evidence_for_a_finalist() -> None:
    found = compare([3.0] * 14 + [None] * 6, [4.0] * 20)
    assert found.verdict is Verdict.NOT_ENOUGH_EVIDENCE
    assert found.reason.endswith("0 for the new prompt, 6 for the current one")


def test_queries_that_each_side_lacks_count_together() -> None:
    found = compare([None] * 3 + [3.0] * 17, [4.0] * 17 + [None] * 3)
    assert found.verdict is Verdict.NOT_ENOUGH_EVIDENCE
    assert found.reason.endswith("3 for the new prompt, 3 for the current one")


def test_a_finalist_that_lacks_many_more_scores_than_the_incumbent_is_not_promoted() -> None:
    found = compare([3.0] * 30, [4.0] * 26 + [None] * 4)
    assert found.verdict is Verdict.NOT_ENOUGH_EVIDENCE
    assert "lacks a score on many more of the 30 held-out queries: 4 for the new" in found.reason


@pytest.mark.parametrize(("old", "new"), [(0, 3), (6, 0), (3, 6), (6, 6)])
def test_few_missing_scores_on_both_sides_alike_do_no_harm(old: int, new: int) -> None:
    """Those that lack a score are the same queries on both sides."""
    assert max(old, new) == MAX_MISSING_SHARE * 30 or new - old == MAX_EXTRA_MISSING_SHARE * 30
    found = compare([None] * old + [3.0] * (30 - old), [None] * new + [4.0] * (30 - new))
    assert found.verdict is Verdict.PROMOTED


def test_the_next_best_is_promoted_where_the_best_cannot_be() -> None:
    found = compare([3.0] * 30, [5.0] * 9 + [None] * 21, [4.0] * 30)
    assert found.chosen is not None
    assert (found.verdict, found.chosen.candidate_id) == (Verdict.PROMOTED, "c2")


@pytest.mark.parametrize("queries", [1, 10])
def test_without_a_query_scored_for_both_there_is_no_verdict(queries: int) -> None:
    found = compare([None] * queries, [4.0] * queries)
    assert (found.verdict, found.queries_needed) == (Verdict.NOT_ENOUGH_EVIDENCE, None)
    assert found.reason == "no held-out query was scored for both prompts: not read"
    assert found.chosen is not None
    assert (found.chosen.gain, found.chosen.missing) == (None, queries)
    beside = compare([3.0] * 10, [None] * 10, [4.0] * 10)
    assert beside.verdict is Verdict.PROMOTED


def test_better_answers_on_most_kinds_do_not_make_up_for_worse_ones_on_another() -> None:
    kinds = ("code", "code", "code", "poems")
    old = [3.0] * 32
    new = [4.5, 4.5, 4.5, 2.0] * 8
    found = compare(old, new, kinds=kinds)
    assert (found.verdict, found.queries_needed) == (Verdict.KEPT, None)
    assert "but worse on queries of the kind 'poems': -1.00 on 8 held-out queries, " in found.reason
    assert found.reason.startswith("better by +0.88 [")
    allowed = compare(old, new, kinds=kinds, config=replace_config(kind_margin=4))
    assert allowed.verdict is Verdict.PROMOTED


def test_safety_comes_first_and_has_no_margin() -> None:
    kinds = ("harmful", "code", "code", "code")
    old = [4.0] * 40
    new = [3.5, 5.0, 5.0, 4.5] * 10
    found = compare(old, new, kinds=kinds, config=GateConfig(kind_margin=4))
    assert found.verdict is Verdict.KEPT
    assert "but worse on safety: -0.50 on 10 held-out queries, -0.39 at best" in found.reason


def test_a_loss_that_is_no_gain_elsewhere_is_told_without_a_but() -> None:
    found = compare([4.0] * 16, [3.0] * 16, config=GateConfig(), kinds=("harmful",))
    assert found.verdict is Verdict.KEPT
    assert found.reason.startswith("worse on safety: -1.00 on 16 held-out queries")


def test_queries_answered_unsafely_now_are_named() -> None:
    old = [with_criteria(Safety=5.0)] * 12
    new = [*[with_criteria(Safety=5.0)] * 11, with_criteria(Safety=1.0)]
    found = compare(old, new, config=GateConfig())
    assert found.warnings == ("answered safely before and unsafely now, by the judge: look at q11",)


def test_nothing_is_known_about_safety_without_queries_about_it() -> None:
    found = compare([3.0] * 10, [4.0] * 10, config=GateConfig())
    assert found.warnings == ("too few held-out queries are about safety to say anything about it",)


def test_a_judge_that_does_not_agree_with_itself_promotes_nothing() -> None:
    noisy = replace(SOUND, agreement=0.3, mean_absolute_difference=0.8)
    found = compare([3.0] * 20, [4.0] * 20, judge=noisy)
    assert (found.verdict, found.queries_needed) == (Verdict.NOT_ENOUGH_EVIDENCE, None)
    assert found.reason.startswith(
        "the judge agrees with itself too little to decide by (0.30, 0.5 is needed): better on 20"
    )
    config = replace_config(min_judge_agreement=0.2)
    assert compare([3.0] * 20, [4.0] * 20, judge=noisy, config=config).verdict is Verdict.PROMOTED
    close = replace(noisy, mean_absolute_difference=0.2)
    assert compare([3.0] * 20, [4.0] * 20, judge=close).verdict is Verdict.PROMOTED
    assert compare([4.0] * 20, [3.0] * 20, judge=noisy).verdict is Verdict.KEPT


@pytest.mark.parametrize(
    ("judge", "doubt"),
    [
        (replace(SOUND, agreement=None, mean_absolute_difference=None), "was not measured"),
        (replace(SOUND, length_bias=0.61), "longer answers get higher scores (correlation 0.61)"),
        (replace(SOUND, saturated_share=0.95), "95% of the scores are the highest"),
    ],
)
def test_what_makes_a_judge_doubtful_is_said(judge: JudgeReport, doubt: str) -> None:
    (warning,) = compare([3.0] * 10, [4.0] * 10, judge=judge).warnings
    assert doubt in warning


def test_scores_that_are_all_the_same_are_agreement_enough() -> None:
    equal = replace(SOUND, agreement=None, mean_absolute_difference=0.0)
    assert compare([3.0] * 10, [4.0] * 10, judge=equal).warnings == ()


def test_what_the_search_itself_has_gained_is_told_apart() -> None:
    old, start, new = [3.0] * 12, [3.5] * 12, [4.0] * 12
    seed = answered("seed", start)
    found = compare(old, new, seed=seed)
    assert found.seed_gain == simultaneous_differences(start, [new])[0]
    without = compare(old, new)
    assert without.chosen is not None
    assert without.seed_gain == without.chosen.gain
    unscored = compare(old, new, seed=answered("seed", [None] * 12))
    assert unscored.seed_gain is None


def test_the_seed_prompt_gains_nothing_over_itself() -> None:
    old, new, other = [3.0] * 12, [4.0] * 12, [3.5] * 12
    seed = answered("c1", new)
    assert compare(old, new, other, seed=seed).seed_gain is None
    better = compare(old, new, [5.0] * 12, seed=seed)
    assert better.chosen is not None
    assert better.chosen.candidate_id == "c2"
    assert better.seed_gain == simultaneous_differences(new, [[5.0] * 12])[0]


rewards = st.lists(st.one_of(st.none(), st.floats(1, 5)), min_size=12, max_size=12)


@given(rewards, st.lists(rewards, min_size=1, max_size=3))
def test_a_promotion_always_has_an_interval_above_zero_and_nothing_else_moves_a_label(
    old: list[float | None], new: list[list[float | None]]
) -> None:
    found = compare(old, *new)
    assert found.chosen in found.finalists
    assert found.chosen is not None
    gain = found.chosen.gain
    if found.verdict is Verdict.PROMOTED:
        assert gain is not None
        assert gain.low is not None
        assert gain.low > 0
        assert gain.pairs >= MIN_PAIRS
    if found.queries_needed is not None:
        assert found.verdict is Verdict.NOT_ENOUGH_EVIDENCE
        assert found.queries_needed > 0


@pytest.mark.parametrize("first", [8, 16, 30])
@pytest.mark.parametrize(("gain", "deviation"), [(0.17, 0.4), (0.2, 0.45), (0.3, 0.6)])
def test_as_many_new_queries_as_were_asked_for_decide_nine_times_in_ten(
    first: int, gain: float, deviation: float
) -> None:
    """Gains as a judge sees a true one of 0.3: promoted at once, or on a new sample as large as asked for."""
    source = random.Random(5)

    def sample(count: int) -> Conclusion:
        old = [min(5.0, max(1.0, source.gauss(3, 0.8))) for _ in range(count)]
        return compare(old, [value + source.gauss(gain, deviation) for value in old])

    promoted = 0
    for _ in range(100):
        found = sample(first)
        if found.queries_needed is not None:
            found = sample(found.queries_needed)
        promoted += found.verdict is Verdict.PROMOTED
    assert promoted >= 90
