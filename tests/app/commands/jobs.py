"""Jobs as the API shows them, for the command line's display."""

from app.commands.progress import JobJson
from app.jobs.schemas import BudgetInput, OptimizationError, SpendReport
from app.optimizations.forecast_schemas import Range
from app.optimizations.schemas import BestSoFar, Estimate, OptimizationObject, Progress
from optimizer.config import PRESETS
from optimizer.gate_config import GateConfig

PROMPT = "Be brief."


def job_json(**fields: object) -> JobJson:
    """A running job in its third round, with ``fields`` changed."""
    job = OptimizationObject(
        id="opt_1",
        name=None,
        status="running",
        target="simulated-small",
        preset="mini",
        settings=PRESETS["mini"],
        gate=GateConfig(),
        seed_prompt="You are a helpful assistant.",
        budget=BudgetInput(),
        label="production",
        replay_of=None,
        created_at=1.0,
        started_at=2.0,
        finished_at=None,
        elapsed_seconds=71.4,
        cancel_requested=False,
        error=None,
        progress=Progress(
            phase="search",
            round=2,
            rounds_left=3,
            evaluations=20,
            unscored=0,
            calls=60,
            calls_expected=100,
            seconds_left=Range(low=50, expected=62, high=80),
        ),
        best=BestSoFar(candidate_id="c2.0.1", system_prompt=PROMPT, reward=4.125),
        usage=SpendReport(calls=60, prompt_tokens=1000, completion_tokens=234),
        estimate=Estimate(calls_left=40, calls_left_max=90),
        estimate_before=None,
        result=None,
    )
    return job.model_copy(update=fields).model_dump(mode="json", serialize_as_any=True)


QUEUED = job_json(
    status="queued",
    started_at=None,
    elapsed_seconds=0.0,
    progress=Progress(
        phase="queued",
        round=None,
        rounds_left=None,
        evaluations=0,
        unscored=0,
        calls=0,
        calls_expected=100,
        seconds_left=None,
    ),
    best=None,
    usage=SpendReport(),
    estimate=Estimate(calls_left=100, calls_left_max=100),
)
RUNNING = job_json()
COMPARING = job_json(
    progress=Progress(
        phase="gate",
        round=5,
        rounds_left=0,
        evaluations=50,
        unscored=2,
        calls=99,
        calls_expected=139,
        seconds_left=None,
    ),
    usage=SpendReport(calls=99, prompt_tokens=1, completion_tokens=1, cost=0.12345),
)
CANCELLING = job_json(cancel_requested=True)
CANCELLED = job_json(status="cancelled", cancel_requested=True, estimate=None)
FAILED = job_json(
    status="failed",
    best=None,
    estimate=None,
    error=OptimizationError(code="backend_misconfigured", message="roles.judge: the key was refused"),
)
GATE = {
    "verdict": "promoted",
    "reason": "better on 30 held-out queries: +0.32 [+0.16, +0.48]",
    "queries": 30,
    "baseline_reward": 3.57,
    "candidate_reward": 3.89,
    "difference": 0.32,
    "low": 0.16,
    "high": 0.48,
}
SUCCEEDED = job_json(
    status="succeeded",
    estimate=None,
    progress=Progress(
        phase="finished",
        round=5,
        rounds_left=0,
        evaluations=50,
        unscored=0,
        calls=139,
        calls_expected=139,
        seconds_left=Range(low=0, expected=0, high=0),
    ),
    result={"gate": GATE, "prompt_version": "pv_1", "label_moved": "production"},
)
EXHAUSTED = job_json(
    status="succeeded",
    estimate=None,
    best=None,
    result={"gate": None, "prompt_version": None, "label_moved": None},
)
STATES = {
    "queued": QUEUED,
    "running": RUNNING,
    "comparing": COMPARING,
    "cancelling": CANCELLING,
    "cancelled": CANCELLED,
    "failed": FAILED,
    "succeeded": SUCCEEDED,
    "exhausted": EXHAUSTED,
}
