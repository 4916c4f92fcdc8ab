"""Meta-prompts as files: load one, check its variables, render it in a sandbox."""

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import resources

from jinja2 import StrictUndefined, meta
from jinja2.exceptions import TemplateError as JinjaError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from optimizer.errors import TemplateError
from optimizer.quoting import Quoted


def _finalize(value: object) -> object:
    """Let numbers and quoted text into the output, and nothing else."""
    if isinstance(value, Quoted | int | float):
        return value
    raise TemplateError(f"a template may only show quoted text, not {type(value).__name__}")


_ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined,
    finalize=_finalize,
    autoescape=False,  # the output is a prompt, not HTML; _finalize guards it
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=False,
)


class PromptTemplate:
    """One meta-prompt.

    Attributes:
        name: its file name.
        version: the first 12 hex digits of its text's SHA-256; stored with what it produced.
    """

    def __init__(self, name: str, source: str, variables: frozenset[str]) -> None:
        """Compile ``source``.

        Raises:
            TemplateError: it does not parse, or does not use exactly ``variables``.
        """
        self.name = name
        self.version = hashlib.sha256(source.encode()).hexdigest()[:12]
        try:
            used = meta.find_undeclared_variables(_ENVIRONMENT.parse(source))
            self._template = _ENVIRONMENT.from_string(source)
        except JinjaError as error:
            raise TemplateError(f"{name}: {error}") from error
        if used != variables:
            raise TemplateError(f"{name} uses {sorted(used)}, but is given {sorted(variables)}")

    @classmethod
    @cache  # compiling takes longer than a small job's search, and a package's files don't change
    def load(cls, package: str, name: str, *, variables: frozenset[str]) -> "PromptTemplate":
        """The template ``name`` that lies in ``package`` (``optimizer.templates`` or so)."""
        source = resources.files(package).joinpath(name).read_text(encoding="utf-8")
        return cls(name, source, variables)

    def render(self, values: Mapping[str, object]) -> str:
        """The text with ``values`` filled in.

        Args:
            values: quoted text, numbers, or sequences and mappings of them; a value is never template source.

        Raises:
            TemplateError: a variable is missing or some text was not quoted.
        """
        try:
            return self._template.render(values)
        except JinjaError as error:
            raise TemplateError(f"{self.name}: {error}") from error
