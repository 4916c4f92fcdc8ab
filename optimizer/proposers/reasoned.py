"""Proposers that are shown the reasons for scores which came without any."""

import dataclasses
from collections.abc import Sequence

from typing_extensions import override

from optimizer.brief import Brief
from optimizer.protocols import Proposer, ReasonGiver, Reflector
from optimizer.types import BeamPath, Proposal


class ReasonedReflector(Reflector):
    """Has the failures of a brief explained before it is worked on."""

    def __init__(self, reflector: Reflector, reasons: ReasonGiver) -> None:
        """``reflector``, with ``reasons`` for the failures that it is shown."""
        self._reflector = reflector
        self._reasons = reasons

    @property
    @override
    def template_version(self) -> str:
        return self._reflector.template_version

    @override
    async def propose(self, brief: Brief, *, draw: int, count: int) -> Sequence[Proposal]:
        failures = await self._reasons.with_reasons(brief.failures)
        return await self._reflector.propose(
            dataclasses.replace(brief, failures=failures), draw=draw, count=count
        )


class ReasonedProposer(Proposer):
    """Has the last evaluations of a lineage explained before its prompt is rewritten."""

    def __init__(self, proposer: Proposer, reasons: ReasonGiver) -> None:
        """``proposer``, with ``reasons`` for the evaluations that it is shown."""
        self._proposer = proposer
        self._reasons = reasons

    @property
    @override
    def template_version(self) -> str:
        return self._proposer.template_version

    @override
    async def propose(
        self, path: BeamPath, *, round_number: int, slot: int, draw: int, count: int
    ) -> Sequence[Proposal]:
        evaluations = await self._reasons.with_reasons(path.last.evaluations)
        explained = dataclasses.replace(path.last, evaluations=evaluations)
        return await self._proposer.propose(
            BeamPath(steps=(*path.steps[:-1], explained)),
            round_number=round_number,
            slot=slot,
            draw=draw,
            count=count,
        )
