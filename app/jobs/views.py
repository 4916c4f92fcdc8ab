"""What all kinds of jobs show in the same way."""

from app.jobs.limits import current_budget
from app.jobs.schemas import BudgetInput, JobControls, OptimizationError, Paused
from app.jobs.spec import BudgetSpec, JobSpec
from store.records.optimizations import OptimizationRecord


def job_spec(record: OptimizationRecord) -> JobSpec:
    """What the job is now: as it was made, under the limits that it has now."""
    spec = JobSpec.from_json(record.spec)
    return spec.model_copy(update={"budget": current_budget(spec.budget, record.limits)})


def show_budget(record: OptimizationRecord, made_with: BudgetSpec) -> BudgetInput:
    """The limits now."""
    return BudgetInput.model_validate(current_budget(made_with, record.limits).model_dump())


def show_controls(record: OptimizationRecord) -> JobControls:
    """What people have asked of the job."""
    reason = record.paused_because
    return JobControls(
        priority=record.priority,
        cancel_requested=record.cancel_requested,
        pause_requested=record.pause_requested,
        paused=None
        if reason is None
        else Paused(
            cause=reason.cause.value,
            message=reason.message,
            backend=reason.backend,
            probe_at=record.probe_at,
        ),
        derived_from=record.derived_from,
    )


def show_error(record: OptimizationRecord) -> OptimizationError | None:
    """Why the job failed; None where it has not."""
    error = record.error
    return None if error is None else OptimizationError(code=error.code, message=error.message)
