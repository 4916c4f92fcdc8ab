"""The catalogue of criteria."""

import pytest

from optimizer.errors import InvalidInputError
from rewards.catalog import CriteriaCatalog, packaged_catalog
from rewards.types import CriterionOrigin
from tests.rewards.builders import CATALOG, names

SMALL = """
fallback: [Wit, Grace]
criteria:
  - {name: Wit, good: It is funny., scoring: 5 for a laugh.}
  - {name: Grace, good: It is kind., scoring: 5 for kindness., aliases: [Good Manners]}
"""


def test_the_package_brings_the_fourteen_criteria_of_the_paper() -> None:
    assert names(CATALOG.criteria) == [
        "Helpfulness",
        "Clarity",
        "Factuality",
        "Depth",
        "Engagement",
        "Conciseness",
        "Safety",
        "Compliance",
        "Limitations",
        "Critical-Thinking",
        "Creativity",
        "Interactivity",
        "Empathy",
        "Sensitivity",
    ]
    assert {criterion.origin for criterion in CATALOG.criteria} == {CriterionOrigin.CATALOGUE}
    assert all(len(criterion.good) < len(criterion.scoring) for criterion in CATALOG.criteria)
    assert all("5 " in criterion.scoring and "1 " in criterion.scoring for criterion in CATALOG.criteria)


def test_helpfulness_clarity_and_factuality_fit_any_query() -> None:
    assert names(CATALOG.fallback) == ["Helpfulness", "Clarity", "Factuality"]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Critical Thinking", "Critical-Thinking"),
        ("critical_thinking", "Critical-Thinking"),
        ("LIMITATIONS", "Limitations"),
        ("Limitations acknowledgement", "Limitations"),
        ("Acknowledgement of Limitations", "Limitations"),
        ("Compliance with Instructions", "Compliance"),
        ("cultural-sensitivity", "Sensitivity"),
        ("4. **Safety** (no harm)", "Safety"),
    ],
)
def test_a_criterion_is_found_by_any_spelling_and_alias(written: str, name: str) -> None:
    found = CATALOG.find(written)
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize("written", ["Help", "", "42", "Helpfulness and Clarity"])
def test_another_name_is_not_in_the_catalogue(written: str) -> None:
    assert CATALOG.find(written) is None


def test_the_version_follows_the_content_and_not_the_layout() -> None:
    catalog = CriteriaCatalog.parse(SMALL)
    assert (
        CriteriaCatalog.parse(SMALL.replace("[Wit, Grace]", '["Wit",   "Grace"] # two')).version
        == catalog.version
    )
    assert CriteriaCatalog.parse(SMALL.replace("laugh", "smile")).version != catalog.version
    assert CriteriaCatalog.parse(SMALL.replace("Good Manners", "Manners")).version != catalog.version
    assert CriteriaCatalog.parse(SMALL.replace("[Wit, Grace]", "[Grace, Wit]")).version != catalog.version
    assert len(catalog.version) == 12


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("criteria:", "criteria: [", "cannot be used"),
        (SMALL, "", "cannot be used"),
        ("good: It is funny.", "fine: It is funny.", "good"),
        ("It is funny.", "''", "Wit: a text is one line"),
        ("It is funny.", '"two\\nlines"', "Wit: a text is one line"),
        ("5 for a laugh.", "a|b", "Wit: a text is one line"),
        ("It is funny.", "f" * 201, "1 to 200 characters"),
        ("5 for a laugh.", "f" * 1001, "1 to 1000 characters"),
        ("name: Wit", "name: 'Wit: dry'", "a name is"),
        ("name: Wit", "name: ''", "a name is"),
        ("name: Wit", "name: grace", "stands for two things"),
        ("Good Manners", "WIT", "stands for two things"),
        ("Good Manners", "'--'", "an alias names something"),
        ("[Wit, Grace]", "[Wit]", "fallback"),
        ("[Wit, Grace]", "[Wit, wit]", "stands for two things"),
        ("[Wit, Grace]", "[Wit, Charm]", "'Charm' is not in the catalogue"),
    ],
)
def test_a_catalogue_with_a_fault_is_refused_with_the_fault_named(old: str, new: str, complaint: str) -> None:
    assert old in SMALL
    with pytest.raises(InvalidInputError, match=complaint):
        CriteriaCatalog.parse(SMALL.replace(old, new))


def test_the_packaged_catalogue_is_read_once() -> None:
    assert packaged_catalog() is packaged_catalog()
    assert packaged_catalog().criteria == CATALOG.criteria
