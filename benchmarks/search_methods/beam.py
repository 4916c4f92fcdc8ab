"""The beam search with the paper's settings, and with a beam of one."""

from benchmarks.lab import Lab, Silence
from optimizer.beam_search import BeamSearch
from optimizer.config import PRESETS, SearchConfig
from optimizer.estimate import search_calls
from optimizer.proposers.rewriting import RewritingProposer

_GREEDY = SearchConfig(beam_width=1)
_ENDLESS = 1000


def paper_settings(calls: int) -> SearchConfig:
    """The official settings; as deep as the budget allows where they would leave calls over."""
    return _deep_enough(PRESETS["paper"], calls)


def greedy_settings(calls: int) -> SearchConfig:
    """As ``paper_settings``, with a beam of one."""
    return _deep_enough(_GREEDY, calls)


def _deep_enough(config: SearchConfig, calls: int) -> SearchConfig:
    # The queries and the budget end a search that has no depth of its own.
    leaves_over = search_calls(config).maximum < calls
    return config.model_copy(update={"depth": _ENDLESS}) if leaves_over else config


async def search_beam(lab: Lab, start: str) -> str:
    """The prompt that the beam search ends with."""
    config = lab.config
    search = BeamSearch(
        config=config,
        proposer=RewritingProposer(
            lab.critic, config.proposer.to_sampling(), history=config.history, seed=config.seed
        ),
        evaluator=lab.evaluator,
        observer=Silence(),
        stop=lab.budget,
    )
    # A search that is deeper than there are queries begins with them anew.
    rounds = config.queries_needed // len(lab.queries) + 1
    found = await search.run(start, lab.queries * rounds)
    return found.best.system_prompt
