"""How many calls stage 1 makes; retries and repair requests come on top."""

from collections.abc import Iterable

from optimizer.examples.answers import ExampleDraft
from optimizer.examples.config import RefinementConfig


def first_calls(config: RefinementConfig, draft: ExampleDraft) -> int:
    """Calls that judge an example's first answer, or write and judge several; one for the criteria."""
    return 2 if draft.answer is not None else 2 + config.rewrites


def rewrite_calls(config: RefinementConfig, kept: int) -> int:
    """Calls of a round for an example with ``kept`` answers in its beam."""
    return kept * (1 + config.rewrites)


def refinement_calls(config: RefinementConfig, drafts: Iterable[ExampleDraft]) -> int:
    """The most calls of a whole refinement."""
    total = 0
    for draft in drafts:
        total += first_calls(config, draft)
        kept = 1 if draft.answer is not None else min(config.beam_width, config.rewrites)
        for _ in range(config.rounds):
            total += rewrite_calls(config, kept)
            kept = min(config.beam_width, kept * (1 + config.rewrites))
    return total
