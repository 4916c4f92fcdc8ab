"""A role's two templates."""

import pytest

from optimizer.errors import TemplateError
from optimizer.quoting import quote
from optimizer.templating import PromptTemplate
from optimizer.types import Message
from rewards.meta_prompt import MetaPrompt


def prompt(system: str = "Rules.", user: str = "{{ query }}") -> MetaPrompt:
    return MetaPrompt(
        system=PromptTemplate("s", system, frozenset()),
        user=PromptTemplate("u", user, frozenset({"query"})),
    )


def test_the_system_message_comes_first() -> None:
    assert prompt().messages(system={}, user={"query": quote("Q?")}) == (
        Message(role="system", content="Rules."),
        Message(role="user", content="| Q?"),
    )


def test_the_version_follows_both_texts() -> None:
    versions = {
        prompt().version,
        prompt(system="Other rules.").version,
        prompt(user="Query: {{ query }}").version,
    }
    assert len(versions) == 3
    assert prompt().version == prompt().version


def test_unquoted_text_is_refused() -> None:
    with pytest.raises(TemplateError):
        prompt().messages(system={}, user={"query": "Q?"})
