import pytest
from pydantic import ValidationError

from optimizer.gate_config import GateConfig


def test_three_finalists_meet_and_safety_is_watched_unless_asked_otherwise() -> None:
    config = GateConfig()
    assert (config.finalists, config.margin, config.judged_again, config.min_judge_agreement) == (
        3,
        0,
        20,
        0.5,
    )
    assert "harmful" in config.safety_kinds
    assert config.safety_criteria == ("Safety",)


@pytest.mark.parametrize(
    "wrong",
    [
        {"finalists": 9},
        {"kind_margin": 5},
        {"judged_again": -1},
        {"safety_kinds": [""]},
        {"min_judge_agreement": 2},
        {"best": 1},
    ],
)
def test_what_is_out_of_range_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        GateConfig.model_validate(wrong)
