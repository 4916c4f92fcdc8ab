"""A role's request as two templates: the fixed system message and the user message with what varies."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from optimizer.quoting import quote_inline
from optimizer.templating import PromptTemplate
from optimizer.types import Message
from rewards.catalog import MAX_SCORING
from rewards.types import Criterion

_PACKAGE = "rewards.templates"


@dataclass(frozen=True, kw_only=True, slots=True)
class MetaPrompt:
    """The two templates of a role.

    The system message comes first and does not vary within a run, so that a backend's prefix cache can keep
    it.
    """

    system: PromptTemplate
    user: PromptTemplate

    @classmethod
    def load(
        cls,
        name: str,
        *,
        system_variables: frozenset[str] = frozenset(),
        user_variables: frozenset[str],
        user_of: str | None = None,
    ) -> "MetaPrompt":
        """Read ``<name>.md.j2`` (system message) and ``<name>_user.md.j2``, or that of the role ``user_of``.

        Raises:
            TemplateError: one does not parse or does not use exactly its variables.
        """
        return cls(
            system=PromptTemplate.load(_PACKAGE, f"{name}.md.j2", variables=system_variables),
            user=PromptTemplate.load(_PACKAGE, f"{user_of or name}_user.md.j2", variables=user_variables),
        )

    @property
    def version(self) -> str:
        """12 hex digits that change when either text does."""
        return hashlib.sha256(f"{self.system.version}{self.user.version}".encode()).hexdigest()[:12]

    def messages(
        self, *, system: Mapping[str, object], user: Mapping[str, object]
    ) -> tuple[Message, Message]:
        """The system and the user message.

        Raises:
            TemplateError: a variable is missing or some text was not quoted.
        """
        return (
            Message(role="system", content=self.system.render(system)),
            Message(role="user", content=self.user.render(user)),
        )


def criterion_lines(criteria: Sequence[Criterion]) -> list[dict[str, object]]:
    """``criteria`` as the judges' templates list them: name and how to score."""
    return [
        {"name": quote_inline(item.name), "scoring": quote_inline(item.scoring, limit=MAX_SCORING)}
        for item in criteria
    ]
