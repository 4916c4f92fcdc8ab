"""The comparison of a job, as ``app/jobs`` makes it, on prompts and queries of the caller's choice.

Everything but the search is the job's own: roles, criteria, judge, second judgements, size and verdict. There
is no ledger, and nothing is written to the store.
"""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from app.jobs.comparison import Comparison
from app.jobs.decisions import Decisions
from app.jobs.scoring import ScoringModels, build_gate_scorers, build_scorer
from app.jobs.selections import ReplayedSelections
from app.jobs.spec import BudgetSpec, JobSpec
from app.jobs.wiring import RunModels, SearchParts
from app.llm.metering import Meter
from app.llm.registry import ModelRegistry
from app.llm.run_context import RunContext
from app.retrieval import Retrievers
from app.retrieval_settings import RetrievalSettings
from app.settings import Settings
from benchmarks.lab import Silence, World
from optimizer.budget import Budget, Limits
from optimizer.config import PRESETS
from optimizer.types import Candidate, Query, SearchResult, StopReason
from optimizer.verdicts import Conclusion
from rewards.catalog import CriteriaCatalog
from store.connections import Database
from store.repositories.embeddings import EmbeddingRepository
from store.repositories.prompts import PromptRepository


@dataclass(frozen=True, kw_only=True, slots=True)
class Gates:
    """The models of one world, and a store that nobody reads."""

    world: World
    registry: ModelRegistry
    database: Database

    async def compare(
        self, incumbent: str, finalists: Sequence[str], held_out: Sequence[Query], *, seed: int
    ) -> Conclusion:
        """What a job concludes whose search has sent ``finalists``, best first, against ``incumbent``."""
        spec = _spec(incumbent, held_out, seed)
        budget = Budget(Limits(), clock=time.monotonic)
        context = RunContext(scope="gate", budget=budget, meter=Meter(), seed=seed)
        catalog, selections = CriteriaCatalog.load(), ReplayedSelections({})
        models = await RunModels.open(self.registry, self.world.target, context, gate_judge=False)
        more = ScoringModels()
        scorer = await build_scorer(spec, models, more, catalog=catalog, selections=selections)
        parts = SearchParts(
            spec=spec,
            models=models,
            base_model=False,
            scorer=scorer,
            observer=Silence(),
            retrievers=Retrievers(self.registry, EmbeddingRepository(self.database), RetrievalSettings()),
            context=context,
        )
        comparison = Comparison(
            parts,
            PromptRepository(self.database),
            await build_gate_scorers(spec, models, more, scorer, catalog=catalog, selections=selections),
            budget=budget,
            decisions=Decisions({}, _forget),
        )
        compared = await comparison.run(_found(incumbent, finalists), (), held_out)
        return compared.conclusion


@asynccontextmanager
async def open_gates(world: World) -> AsyncIterator[Gates]:
    """Comparisons in ``world``."""
    simulated = {"kind": "simulated", "simulated": world.settings.model_dump(mode="json")}
    with TemporaryDirectory() as folder:
        url = f"sqlite+aiosqlite:///{Path(folder) / 'unused.db'}"
        registry = ModelRegistry(Settings.model_validate({"backends": {"simulated": simulated}}))
        database = Database(url)
        try:
            yield Gates(world=world, registry=registry, database=database)
        finally:
            await registry.aclose()
            await database.close()


def _spec(incumbent: str, held_out: Sequence[Query], seed: int) -> JobSpec:
    """A job that shows no examples, whose served prompt is ``incumbent``."""
    return JobSpec(
        name=None,
        preset="default",
        config=PRESETS["default"].model_copy(update={"seed": seed, "k": 0}),
        seed_prompt=incumbent,
        dataset_id="",
        example_bank_id=None,
        held_out=len(held_out),
        search_queries=0,
        held_out_queries=len(held_out),
        budget=BudgetSpec(),
        label=None,
        incumbent_version_id=None,
    )


def _found(incumbent: str, finalists: Sequence[str]) -> SearchResult:
    candidates = [
        Candidate(id=f"c{number}", system_prompt=text) for number, text in enumerate((incumbent, *finalists))
    ]
    return SearchResult(
        best=candidates[1],
        best_reward=None,
        finalists=tuple(candidates[1:]),
        seed_prompt=candidates[0],
        beam=(),
        rounds=1,
        stop_reason=StopReason.DEPTH,
        unscored=0,
        evaluations=0,
    )


def _forget(_name: str, _value: int) -> None:
    """Nobody tries again."""
