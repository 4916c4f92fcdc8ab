"""The validated, frozen settings of stage 1, with named presets."""

from pydantic import BaseModel, ConfigDict, Field

from optimizer.config import SamplingConfig


class RefinementConfig(BaseModel):
    """Settings of a beam search over the answers of an example bank.

    ``REFINEMENT_PRESETS["paper"]`` has the numbers of the authors' script (arXiv 2411.08733), which follows a
    single chain of rewrites.

    Attributes:
        beam_width: answers kept for each example after each round.
        rewrites: new answers asked for per kept answer and round.
        rounds: rounds of rewriting.
        patience: rounds without a better answer after which work on an example ends.
        seed: everything random derives from it.
        rewriter / selector / judge: sampling of the roles.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    beam_width: int = Field(default=2, ge=1, le=16)
    rewrites: int = Field(default=2, ge=1, le=16)
    rounds: int = Field(default=3, ge=1, le=50)
    patience: int = Field(default=2, ge=1, le=50)
    seed: int = Field(default=0, ge=0, lt=2**63)
    rewriter: SamplingConfig = SamplingConfig(temperature=0.7, top_p=0.95)
    selector: SamplingConfig = SamplingConfig(temperature=0, top_p=1)
    judge: SamplingConfig = SamplingConfig(temperature=0, top_p=1)


REFINEMENT_PRESETS: dict[str, RefinementConfig] = {
    "default": RefinementConfig(),
    "paper": RefinementConfig(
        beam_width=1, rewrites=1, rounds=5, patience=5, rewriter=SamplingConfig(temperature=0, top_p=1)
    ),
    "mini": RefinementConfig(beam_width=1, rewrites=2, rounds=1),
}
