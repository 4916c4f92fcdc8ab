"""What a request says about rewards, checked against the settings, the catalogue and the queries."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

from app.jobs.checks import build_check
from app.jobs.judging import check_judging
from app.jobs.reward_spec import LengthCheckSpec, RewardSpec
from app.jobs.scoring import own_criterion, scorer_place
from app.resources import Resources
from app.settings import ROLE_JUDGE
from optimizer.errors import InvalidInputError, ModelError
from optimizer.types import Query
from rewards.catalog import packaged_catalog
from rewards.cleaning import clean_name, name_key

LEAST_PARTS = 2
"""Criteria, checks and scorers of the user's own where the catalogue is off."""
_PATIENCE_SECONDS = 10.0


async def check_rewards(rewards: RewardSpec, resources: Resources, queries: Sequence[Query]) -> None:
    """See to it that ``rewards`` can work on ``queries``.

    Raises:
        InvalidInputError: something in it cannot; the message says what to change.
    """
    _check_names(rewards)
    _check_weights(rewards)
    _check_criteria(rewards)
    _check_judges(rewards, resources)
    await _check_judging(rewards, resources)
    if rewards.http is not None:
        with _at("http"):
            scorer_place(rewards.http, resources.settings.rewards)
    _check_kinds(rewards, queries)
    await asyncio.to_thread(_check_checks, rewards)


def _check_names(rewards: RewardSpec) -> None:
    """Scores are told apart by name, so that no two may have the same."""
    seen: dict[str, str] = {}
    for place, name in _names(rewards):
        with _at(f"{place}.name"):
            if clean_name(name) != name:
                raise InvalidInputError(f"{name!r} has to be made of letters, digits, spaces and hyphens")
            if rewards.catalogue and packaged_catalog().find(name) is not None:
                raise InvalidInputError(
                    f"{name!r} is a built-in criterion: give it a weight in rewards.weights, take another "
                    "name, or set rewards.catalogue to false"
                )
            if name_key(name) in seen:
                raise InvalidInputError(f"{name!r} is the name of {seen[name_key(name)]} too")
        seen[name_key(name)] = f"rewards.{place}"


def _names(rewards: RewardSpec) -> Iterator[tuple[str, str]]:
    yield from ((f"criteria.{at}", item.name) for at, item in enumerate(rewards.criteria))
    yield from ((f"checks.{at}", item.name) for at, item in enumerate(rewards.checks))
    if rewards.http is not None:
        yield "http", rewards.http.name


def _check_weights(rewards: RewardSpec) -> None:
    for name in rewards.weights:
        with _at(f"weights.{name}"):
            if not rewards.catalogue:
                raise InvalidInputError(
                    "weights are for built-in criteria, which catalogue: false leaves out: give your own "
                    "criteria their weight where they are described"
                )
            if packaged_catalog().find(name) is None:
                known = ", ".join(item.name for item in packaged_catalog().criteria)
                raise InvalidInputError(f"there is no built-in criterion {name!r}: there are {known}")


def _check_criteria(rewards: RewardSpec) -> None:
    parts = len(rewards.criteria) + len(rewards.checks) + (rewards.http is not None)
    if not rewards.catalogue and parts < LEAST_PARTS:
        raise InvalidInputError(
            "without the catalogue give at least two criteria or checks of your own",
            param="rewards.catalogue",
        )
    for at, item in enumerate(rewards.criteria):
        if not own_criterion(item).criterion.good:
            place = f"rewards.criteria.{at}.description"
            raise InvalidInputError(f"{place}: the description is blank", param=place)


def _check_judges(rewards: RewardSpec, resources: Resources) -> None:
    known = (ROLE_JUDGE, *resources.models.judge_names())
    with _at("judges"):
        if rewards.judges and not (rewards.catalogue or rewards.criteria):
            raise InvalidInputError("there is no criterion to judge by: leave the judges out")
        if len(set(rewards.judges)) < len(rewards.judges):
            raise InvalidInputError("a judge is named twice")
        unknown = [name for name in rewards.judges if name not in known]
        if unknown:
            raise InvalidInputError(f"there is no judge {unknown[0]!r}: there are {', '.join(known)}")


async def _check_judging(rewards: RewardSpec, resources: Resources) -> None:
    """Where a judge that has to be asked for what it can do is away, the job meets the question again."""
    with suppress(ModelError, TimeoutError), _at("judging"):
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await check_judging(rewards, resources.models, gate_judge=resources.models.has_gate_judge)


def _check_kinds(rewards: RewardSpec, queries: Sequence[Query]) -> None:
    kinds = {query.kind for query in queries}
    parts = (*rewards.criteria, *rewards.checks)
    for place, part in zip((place for place, _ in _names(rewards)), parts, strict=False):
        missing = sorted(set(part.kinds) - kinds)
        if missing:
            known = ", ".join(sorted(kind for kind in kinds if kind)) or "none"
            param = f"rewards.{place}.kinds"
            raise InvalidInputError(
                f"{param}: no query is of kind {missing[0]!r}; the kinds are {known}", param=param
            )
    if _counts_always(rewards):
        return
    covered = [part.kinds for part in parts if part.weight > 0]
    bare = {kind for kind in kinds if not any(not some or kind in some for some in covered)}
    if bare:
        named = ", ".join(sorted(kind or "unknown" for kind in bare))
        raise InvalidInputError(
            f"rewards: nothing with a weight scores queries of kind {named}: add a criterion or a check for "
            "them, or give one a weight",
            param="rewards",
        )


def _counts_always(rewards: RewardSpec) -> bool:
    """Whether something with a weight scores every query, whatever its kind."""
    if rewards.http is not None and rewards.http.weight > 0:
        return True
    weights = {name_key(name): weight for name, weight in rewards.weights.items()}
    names: Iterable[str] = (item.name for item in packaged_catalog().criteria) if rewards.catalogue else ()
    return any(weights.get(name_key(name), 1.0) > 0 for name in names)


def _check_checks(rewards: RewardSpec) -> None:
    for at, check in enumerate(rewards.checks):
        with _at(f"checks.{at}"):
            if isinstance(check, LengthCheckSpec):
                if check.max is None and not check.min:
                    raise InvalidInputError("give min, max or both")
                if check.max is not None and check.max < check.min:
                    raise InvalidInputError("max is below min")
            build_check(check)


@contextmanager
def _at(place: str) -> Iterator[None]:
    """Name the field at fault in what is raised inside."""
    try:
        yield
    except InvalidInputError as error:
        param = f"rewards.{place}"
        raise InvalidInputError(f"{param}: {error}", param=param) from error
