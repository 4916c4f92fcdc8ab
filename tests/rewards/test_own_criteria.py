"""A user's criteria beside those that the selector chooses."""

import pytest

from optimizer.errors import InvalidInputError
from optimizer.types import Query, Sampling
from rewards.catalog import CriteriaCatalog
from rewards.own_criteria import OwnCriteriaSelector, OwnCriterion
from rewards.selector import Selector
from rewards.types import Criterion, CriterionOrigin, QuerySelector, SelectionSource
from tests.fakes.chat_model import ScriptedModel
from tests.rewards.builders import CATALOG, names, selector_reply

HELP = Query(id="q1", text="How do I boil an egg?", kind="help")
CODE = Query(id="q2", text="Sort a list.", kind="code")
UNKNOWN = Query(id="q3", text="Hm?")


def criterion(name: str) -> Criterion:
    return Criterion(
        name=name, good=f"{name} is there.", scoring=f"{name} is there.", origin=CriterionOrigin.USER
    )


def own(name: str, *kinds: str, always: bool = True) -> OwnCriterion:
    return OwnCriterion(criterion=criterion(name), always=always, kinds=frozenset(kinds))


def chooser(
    model: ScriptedModel, *criteria: OwnCriterion, keep: bool = True, taken: tuple[str, ...] = ()
) -> OwnCriteriaSelector:
    def make(catalog: CriteriaCatalog, max_new: int) -> QuerySelector:
        return Selector(model, catalog=catalog, sampling=Sampling(), max_new_criteria=max_new)

    return OwnCriteriaSelector(criteria, catalog=CATALOG, keep_catalogue=keep, taken=taken, make=make)


def system_of(model: ScriptedModel, at: int = 0) -> str:
    prompt = model.requests[at].prompt
    assert not isinstance(prompt, str)
    return prompt[0].text


async def test_what_is_always_judged_stands_after_the_choice_and_is_not_offered() -> None:
    model = ScriptedModel([selector_reply("Helpfulness", "Depth")])
    found = await chooser(model, own("Brand Voice")).select(HELP, seed=1)
    assert names(found.criteria) == ["Helpfulness", "Depth", "Brand Voice"]
    assert found.rationale == "These decide."
    assert "Brand Voice" not in system_of(model)


async def test_what_is_offered_may_be_chosen() -> None:
    model = ScriptedModel([selector_reply("brand-voice", "Depth"), selector_reply("Clarity", "Depth")])
    selector = chooser(model, own("Brand Voice", always=False))
    found = await selector.select(HELP, seed=1)
    assert names(found.criteria) == ["Brand Voice", "Depth"]
    assert "- Brand Voice: Brand Voice is there.\n" in system_of(model)
    assert "- Helpfulness: " in system_of(model)
    assert names((await selector.select(CODE, seed=1)).criteria) == ["Clarity", "Depth"]
    assert system_of(model) == system_of(model, 1)


async def test_a_criterion_is_for_the_kinds_it_names() -> None:
    model = ScriptedModel(lambda _: selector_reply("Helpfulness", "Depth"))
    selector = chooser(model, own("Style", "code"), own("Warmth", "help", always=False))
    assert names((await selector.select(HELP, seed=1)).criteria) == ["Helpfulness", "Depth"]
    assert names((await selector.select(CODE, seed=1)).criteria) == ["Helpfulness", "Depth", "Style"]
    assert names((await selector.select(UNKNOWN, seed=1)).criteria) == ["Helpfulness", "Depth"]
    assert ["Warmth" in system_of(model, at) for at in range(3)] == [True, False, False]


async def test_without_the_catalogue_the_selector_chooses_among_the_users_own_and_invents_none() -> None:
    model = ScriptedModel([selector_reply("Three", "One")])
    criteria = [own(name, always=False) for name in ("One", "Two", "Three")]
    found = await chooser(model, *criteria, own("Four"), keep=False).select(HELP, seed=1)
    assert names(found.criteria) == ["Three", "One", "Four"]
    assert "Helpfulness" not in system_of(model)
    assert "Use listed criteria only." in system_of(model)


async def test_where_there_is_nothing_to_choose_nobody_is_asked() -> None:
    selector = chooser(ScriptedModel(), own("One", always=False), own("Two", "code"), keep=False)
    found = await selector.select(CODE, seed=1)
    assert names(found.criteria) == ["One", "Two"]
    assert (found.source, found.rationale[:14]) == (SelectionSource.SELECTED, "These criteria")
    assert names((await selector.select(HELP, seed=1)).criteria) == ["One"]
    assert (await chooser(ScriptedModel(), keep=False).select(HELP, seed=1)).criteria == ()


async def test_nothing_the_selector_makes_up_takes_the_name_of_another_score() -> None:
    reply = (
        '{"criteria": [{"name": "brand voice", "description": "x"}, {"name": "Form", "description": "y"}, '
        '{"name": "Depth"}], "reasoning": "r"}'
    )
    selector = chooser(ScriptedModel([reply]), own("Brand Voice"), taken=("form",))
    found = await selector.select(HELP, seed=1)
    assert names(found.criteria) == ["Depth", "Brand Voice"]
    assert found.criteria[-1].origin is CriterionOrigin.USER


async def test_a_fallback_is_marked_also_with_criteria_of_the_users() -> None:
    found = await chooser(ScriptedModel(["?", "?"]), own("Brand Voice")).select(HELP, seed=1)
    assert found.source is SelectionSource.FALLBACK
    assert names(found.criteria) == [*names(CATALOG.fallback), "Brand Voice"]


def test_versions_change_with_the_users_criteria() -> None:
    selectors = [
        chooser(ScriptedModel(name="one/selector"), *criteria)
        for criteria in ([], [own("One")], [own("One", always=False)], [own("One", "code")])
    ]
    assert len({item.template_version for item in selectors}) == 4
    assert len({item.catalogue_version for item in selectors}) == 4
    assert {item.model_name for item in selectors} == {"one/selector"}
    without = chooser(ScriptedModel(), own("One"), keep=False)
    assert without.catalogue_version not in {item.catalogue_version for item in selectors}


def test_a_catalogue_is_extended_by_criteria_of_other_names() -> None:
    extended = CATALOG.extended([criterion("Brand Voice")], keep=True)
    assert names(extended.criteria) == [*names(CATALOG.criteria), "Brand Voice"]
    assert names(extended.fallback) == names(CATALOG.fallback)
    assert extended.version != CATALOG.version
    alone = CATALOG.extended([criterion(name) for name in "ABCDEFG"], keep=False)
    assert names(alone.criteria) == list("ABCDEFG")
    assert names(alone.fallback) == list("ABCDE")


@pytest.mark.parametrize(
    ("added", "keep"), [(["usefulness"], True), (["A"], False), (["A", "a"], False), (["1. A"], True)]
)
def test_a_catalogue_takes_no_name_twice_and_no_single_criterion(added: list[str], *, keep: bool) -> None:
    with pytest.raises(InvalidInputError, match="the criteria cannot be used"):
        CATALOG.extended([criterion(name) for name in added], keep=keep)
