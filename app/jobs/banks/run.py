"""One attempt at an example bank: stage 1 over its drafts."""

from dataclasses import dataclass

from app.jobs.banks.budget import RecordedRooms
from app.jobs.banks.event_bodies import refinement_body
from app.jobs.banks.recorder import BankRecorder
from app.jobs.banks.spec import BankSpec, draft_from_json
from app.jobs.grounds import own_grounds
from app.jobs.run import JobStore, spend_json, under_ledger
from app.jobs.tenure import Tenure
from app.llm.registry import ModelRegistry
from app.stored_examples import example_to_json
from optimizer.errors import InvalidInputError
from optimizer.examples.answers import RefinementResult
from optimizer.examples.refinement import AnswerRefiner
from optimizer.examples.rewriting import ModelAnswerRewriter
from optimizer.types import JsonObject, ModelRole
from rewards.catalog import CriteriaCatalog
from rewards.judge import Judge
from rewards.scorer import DynamicRewardScorer
from rewards.selector import Selector
from rewards.types import FOR_EXAMPLES
from store.calls import LedgerScope
from store.records.optimizations import Claim


@dataclass(frozen=True, kw_only=True, slots=True)
class BankFinding:
    """What a run found.

    Attributes:
        refined: the examples with what has become of them.
        report: what else the result says: models and template versions.
    """

    refined: RefinementResult
    report: JsonObject

    @property
    def bank(self) -> tuple[JsonObject, ...]:
        """The bank as the store keeps it."""
        return tuple(example_to_json(example) for example in self.refined.bank)

    def to_json(self) -> JsonObject:
        """The result as the row stores it; the id of the bank is added when it has one."""
        return {**refinement_body(self.refined), **self.report}


class BankRun:
    """Runs the example banks that a worker has claimed."""

    def __init__(self, store: JobStore, models: ModelRegistry, catalog: CriteriaCatalog) -> None:
        """Runs on ``models``, recorded in ``store``, judged by ``catalog``."""
        self._store = store
        self._models = models
        self._catalog = catalog

    async def run(self, claim: Claim, tenure: Tenure) -> BankFinding:
        """Refine; what earlier attempts have paid for is taken from the ledger.

        Raises:
            DrpoError: the job cannot be done.
            LostLeaseError: somebody else has it now.
        """
        spec = BankSpec.from_json(claim.optimization.spec)
        return await under_ledger(
            self._store.ledger, claim.lease, lambda scope: self._attempt(claim, tenure, spec, scope)
        )

    async def _attempt(self, claim: Claim, tenure: Tenure, spec: BankSpec, scope: LedgerScope) -> BankFinding:
        grounds = await own_grounds(claim, tenure, spec, scope, self._store.selections)
        config, context = spec.config, grounds.context
        rewriter_model = await self._models.open_role(ModelRole.REWRITER, None, context)
        judge_model = await self._models.open_role(ModelRole.EXAMPLE_JUDGE, None, context)
        selector = Selector(
            await self._models.open_role(ModelRole.SELECTOR, None, context),
            catalog=self._catalog,
            sampling=config.selector.to_sampling(),
            records=grounds.selections,
            count=FOR_EXAMPLES,
        )
        judge = Judge(judge_model, sampling=config.judge.to_sampling(), harsh=True)
        scorer = DynamicRewardScorer(selector, judge, seed=config.seed)
        rewriter = ModelAnswerRewriter(rewriter_model, config.rewriter.to_sampling(), seed=config.seed)
        models: JsonObject = {
            "rewriter": rewriter_model.name,
            "selector": selector.model_name,
            "example_judge": judge.model_name,
        }
        recorder = BankRecorder(
            self._store.progress,
            claim.lease,
            {"models": models, "rewriter_template_version": rewriter.template_version},
            spend=lambda: spend_json(context.budget),
            answers_kept=scope.settled,
        )
        drafts = [draft_from_json(item) for item in await self._store.prompts.example_bank(spec.drafts_id)]
        grounds.selections.expect(draft.query for draft in drafts)
        async with recorder:
            refiner = AnswerRefiner(
                config=config,
                rewriter=rewriter,
                scorer=scorer,
                observer=recorder,
                budget=RecordedRooms(context.budget, scope.decisions, scope.decide),
            )
            refined = await refiner.refine(drafts)
        if not refined.bank:
            raise InvalidInputError(
                "no example has an answer: none was given, and none could be written within the budget",
                param="examples",
            )
        return BankFinding(refined=refined, report={"models": models, "rewards": scorer.provenance()})
