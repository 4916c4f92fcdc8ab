import pytest
from pydantic import ValidationError

from optimizer.config import (
    BEAM_SETTINGS,
    PRESETS,
    RACING_QUERIES,
    PathAggregation,
    RacingConfig,
    SamplingConfig,
    SearchConfig,
)
from optimizer.types import JsonObject, Sampling


def test_the_paper_preset_is_what_the_authors_script_runs_with() -> None:
    assert PRESETS["paper"].model_dump(mode="json") == {
        "beam_width": 2,
        "proposals_per_candidate": 3,
        "depth": 20,
        "max_depth_increase": 10,
        "skip_threshold": 4.5,
        "history": 5,
        "path_aggregation": "mean",
        "minibatch_size": 1,
        "racing": None,
        "k": 2,
        "max_unscored_share": 0.5,
        "seed": 0,
        "target": {"temperature": 0.0, "top_p": 1.0, "max_tokens": 2048, "stop": []},
        "proposer": {"temperature": 0.2, "top_p": 0.95, "max_tokens": 2048, "stop": []},
        "selector": {"temperature": 0.0, "top_p": 1.0, "max_tokens": 2048, "stop": []},
        "judge": {"temperature": 0.0, "top_p": 1.0, "max_tokens": 2048, "stop": []},
    }


def test_the_default_preset_is_a_racing_search_with_these_settings() -> None:
    default = PRESETS["default"]
    assert default.racing == RacingConfig(reads_instructions=True)
    assert default.model_dump(mode="json")["racing"] == {
        "calls": None,
        "aims": 2,
        "failures": 4,
        "earlier": 4,
        "max_instructions": 8,
        "max_prompt_length": 8000,
        "length_price": 0.02,
        "drop_deviations": 1.0,
        "patience": 6,
        "least_gain": 0.02,
        "finalists": 4,
        "tie_margin": 0.03,
        "reads_instructions": True,
    }
    assert default.proposals_per_candidate == 4
    assert default.proposer == SamplingConfig(temperature=0.7, top_p=0.95)


def test_a_racing_search_is_given_as_many_queries_as_it_can_use_whatever_the_beam_settings_say() -> None:
    racing = SearchConfig(racing=RacingConfig(), depth=1000, minibatch_size=256)
    assert racing.queries_needed == RACING_QUERIES == PRESETS["default"].queries_needed


def test_only_a_racing_search_that_is_set_to_reads_instructions() -> None:
    assert SearchConfig(racing=RacingConfig(reads_instructions=True)).reads_instructions
    assert not SearchConfig(racing=RacingConfig()).reads_instructions
    assert not SearchConfig().reads_instructions


def test_the_settings_of_the_beam_are_those_that_differ_between_the_paper_and_mini_presets() -> None:
    assert set(BEAM_SETTINGS) < set(SearchConfig.model_fields)
    paper, mini = (PRESETS[name].model_dump() for name in ("paper", "mini"))
    assert {name for name in paper if paper[name] != mini[name]} <= set(BEAM_SETTINGS)


def test_the_longest_search_of_the_paper_sees_thirty_queries() -> None:
    assert PRESETS["paper"].max_rounds == 29
    assert PRESETS["paper"].queries_needed == 30


def test_the_mini_preset_is_shorter_and_sees_more_queries_a_round() -> None:
    mini = PRESETS["mini"]
    assert (mini.depth, mini.max_depth_increase, mini.minibatch_size) == (6, 0, 3)
    assert mini.queries_needed == 18


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, PathAggregation.MEAN),
        ({"beam_width": 1}, PathAggregation.LAST),
        ({"beam_width": "1"}, PathAggregation.LAST),
        ({"beam_width": 1, "path_aggregation": "mean"}, PathAggregation.MEAN),
        ({"beam_width": 3, "path_aggregation": "last"}, PathAggregation.LAST),
    ],
)
def test_a_single_lineage_is_ranked_by_its_last_reward_unless_told_otherwise(
    settings: JsonObject, expected: PathAggregation
) -> None:
    assert SearchConfig.model_validate(settings).path_aggregation is expected


def test_a_single_lineage_is_ranked_by_its_last_reward_also_when_built_in_code() -> None:
    assert SearchConfig(beam_width=1).path_aggregation is PathAggregation.LAST


def test_settings_survive_their_json() -> None:
    config = SearchConfig(
        beam_width=1, seed=7, target=SamplingConfig(stop=("<END>",)), racing=RacingConfig(calls=60, aims=1)
    )
    assert SearchConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    "settings",
    [
        {"beam_width": 0},
        {"proposals_per_candidate": 0},
        {"depth": 1},
        {"max_depth_increase": -1},
        {"skip_threshold": 5.1},
        {"history": 0},
        {"minibatch_size": 0},
        {"k": -1},
        {"max_unscored_share": 1.1},
        {"seed": -1},
        {"seed": 2**63},
        {"path_aggregation": "median"},
        {"judge": {"temperature": 2.1}},
        {"judge": {"top_p": 0}},
        {"judge": {"max_tokens": 0}},
        {"judge": {"max_tokens": 10**7 + 1}},
        {"judge": {"n": 2}},
        {"beam_widht": 2},
        {"racing": {"calls": 39}},
        {"racing": {"aims": 0}},
        {"racing": {"failures": 0}},
        {"racing": {"max_instructions": 0}},
        {"racing": {"max_prompt_length": 99}},
        {"racing": {"length_price": -0.1}},
        {"racing": {"patience": 0}},
        {"racing": {"finalists": 1}},
        {"racing": {"tie_margin": 4.1}},
        {"racing": {"beam_width": 2}},
    ],
)
def test_settings_out_of_range_or_unknown_are_refused(settings: JsonObject) -> None:
    with pytest.raises(ValidationError):
        SearchConfig.model_validate(settings)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        PRESETS["paper"].depth = 3  # type: ignore[misc]


def test_sampling_settings_become_the_value_that_requests_carry() -> None:
    config = SamplingConfig(temperature=0.2, top_p=0.95, max_tokens=64, stop=("a",))
    assert config.to_sampling() == Sampling(temperature=0.2, top_p=0.95, max_tokens=64, stop=("a",))
