"""The fourteen traits of an answer that the simulated world knows, and how criteria's names point to them."""

from enum import StrEnum


class Trait(StrEnum):
    """A side of an answer's quality. The names are those of the criteria catalogue, matched loosely."""

    HELPFULNESS = "Helpfulness"
    CLARITY = "Clarity"
    FACTUALITY = "Factuality"
    DEPTH = "Depth"
    ENGAGEMENT = "Engagement"
    CONCISENESS = "Conciseness"
    SAFETY = "Safety"
    LIMITATIONS = "Limitations"
    CRITICAL_THINKING = "Critical-Thinking"
    CREATIVITY = "Creativity"
    INTERACTIVITY = "Interactivity"
    EMPATHY = "Empathy"
    SENSITIVITY = "Sensitivity"
    COMPLIANCE = "Compliance"


class Kind(StrEnum):
    """The sort of a query, as read from its text."""

    HELP = "help"
    KNOWLEDGE = "knowledge"
    CREATIVE = "creative"
    CODE = "code"
    EMOTIONAL = "emotional"
    AMBIGUOUS = "ambiguous"
    FALSE_PREMISE = "false-premise"
    REAL_TIME = "real-time"
    HARMFUL = "harmful"


_STEMS: tuple[tuple[str, Trait], ...] = (
    ("helpful", Trait.HELPFULNESS),
    ("clarity", Trait.CLARITY),
    ("factual", Trait.FACTUALITY),
    ("accura", Trait.FACTUALITY),
    ("depth", Trait.DEPTH),
    ("engag", Trait.ENGAGEMENT),
    ("concis", Trait.CONCISENESS),
    ("safety", Trait.SAFETY),
    ("limit", Trait.LIMITATIONS),
    ("critical", Trait.CRITICAL_THINKING),
    ("creativ", Trait.CREATIVITY),
    ("interactiv", Trait.INTERACTIVITY),
    ("empath", Trait.EMPATHY),
    ("sensitiv", Trait.SENSITIVITY),
    ("complian", Trait.COMPLIANCE),
)


def match_trait(name: str) -> Trait | None:
    """The trait that a criterion's name points to, or None where the name says nothing known."""
    plain = name.casefold()
    return next((trait for stem, trait in _STEMS if stem in plain), None)
