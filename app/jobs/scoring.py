"""From a job's row to how its answers are scored."""

from app.jobs.spec import JobSpec
from optimizer.protocols import ChatModel
from rewards.catalog import CriteriaCatalog
from rewards.judge import Judge
from rewards.pairwise import ModelPairwiseJudge
from rewards.scorer import DynamicRewardScorer
from rewards.selector import Selector
from rewards.types import SelectionRecords


def build_scorer(
    spec: JobSpec,
    selector: ChatModel,
    judge: ChatModel,
    *,
    catalog: CriteriaCatalog,
    selections: SelectionRecords,
) -> DynamicRewardScorer:
    """The dynamic reward of a job."""
    config = spec.config
    return DynamicRewardScorer(
        Selector(selector, catalog=catalog, sampling=config.selector.to_sampling(), records=selections),
        Judge(judge, sampling=config.judge.to_sampling()),
        seed=config.seed,
    )


def build_pairwise_judge(spec: JobSpec, judge: ChatModel, scorer: DynamicRewardScorer) -> ModelPairwiseJudge:
    """The judge of pairs of a job: the criteria are those that ``scorer`` scores on."""
    return ModelPairwiseJudge(judge, scorer.selection, sampling=spec.config.judge.to_sampling())
