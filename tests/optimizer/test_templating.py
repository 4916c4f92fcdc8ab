import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.errors import TemplateError
from optimizer.quoting import Quoted, quote, quote_inline
from optimizer.templating import PromptTemplate


def make_template(source: str, *variables: str) -> PromptTemplate:
    return PromptTemplate("test.md.j2", source, frozenset(variables))


def test_values_fill_the_places_of_their_variables() -> None:
    template = make_template(
        "# {{ title }}\n{% for item in items %}\n- {{ item.name }}: {{ item.score }}\n{% endfor %}\n",
        "title",
        "items",
    )
    text = template.render(
        {
            "title": quote_inline("Scores"),
            "items": [{"name": quote_inline("Depth"), "score": 4.5}, {"name": quote_inline("x"), "score": 1}],
        }
    )
    assert text == "# Scores\n- Depth: 4.5\n- x: 1\n"


@pytest.mark.parametrize("given_names", [(), ("a",), ("a", "b", "c"), ("b",)])
def test_a_template_uses_exactly_the_variables_it_is_given(given_names: tuple[str, ...]) -> None:
    with pytest.raises(TemplateError, match=r"test\.md\.j2 uses \['a', 'b'\], but is given"):
        make_template("{{ a }} {{ b }}", *given_names)


@pytest.mark.parametrize("source", ["{{ a", "{% for x in a %}", "{% nonsense %}", "{{ a | nofilter }}"])
def test_a_template_that_does_not_parse_is_refused(source: str) -> None:
    with pytest.raises(TemplateError, match=r"test\.md\.j2: "):
        make_template(source, "a")


@pytest.mark.parametrize("source", ["{{ a }}", "{% for x in a %}{{ x }}{% endfor %}", "{{ a.b }}"])
def test_a_missing_value_is_an_error(source: str) -> None:
    with pytest.raises(TemplateError):
        make_template(source, "a").render({})


@pytest.mark.parametrize("value", ["plain text", b"bytes", None, ["list"], {"key": quote("x")}, object(), 1j])
def test_only_quoted_text_and_numbers_are_shown(value: object) -> None:
    with pytest.raises(TemplateError, match="may only show quoted text"):
        make_template("{{ a }}", "a").render({"a": value})


@pytest.mark.parametrize(
    "source", ["{{ a.text }}", "{{ a ~ a }}", "{{ a | upper }}", "{{ a | string }}", "{{ a | safe }}"]
)
def test_a_template_cannot_take_the_quotes_off(source: str) -> None:
    with pytest.raises(TemplateError, match="may only show quoted text"):
        make_template(source, "a").render({"a": quote("x")})


@pytest.mark.parametrize(
    "source",
    ["{{ a.__class__ }}", "{{ a.__class__.__mro__ }}", "{{ a.append(1) }}", "{{ a['__class__'] }}"],
)
def test_the_sandbox_holds(source: str) -> None:
    values: list[Quoted] = [quote("x")]
    with pytest.raises(TemplateError):
        make_template(source, "a").render({"a": values})
    assert len(values) == 1


@given(st.text(alphabet=st.sampled_from("{}%#- \nab'\"()[]._7*|"), max_size=40))
def test_a_value_is_never_template_source(text: str) -> None:
    quoted = quote(text)
    rendered = make_template("<{{ a }}>", "a").render({"a": quoted})
    assert rendered == f"<{quoted.text}>"


@pytest.mark.parametrize("text", ["{{ 7 * 7 }}", "{% raw %}", "{# note #}", "{{ a.__class__ }}"])
def test_template_syntax_in_a_value_stays_as_it_is(text: str) -> None:
    assert make_template("{{ a }}", "a").render({"a": quote(text)}) == f"| {text}"


def test_the_version_is_that_of_the_text() -> None:
    first, same, other = (make_template(text, "a") for text in ("{{ a }}", "{{ a }}", "{{ a }}."))
    assert first.version == same.version != other.version
    assert re.fullmatch("[0-9a-f]{12}", first.version)


def test_a_template_is_loaded_from_a_package() -> None:
    template = PromptTemplate.load("optimizer.templates", "repair.md.j2", variables=frozenset({"error"}))
    assert template.name == "repair.md.j2"
    text = template.render({"error": quote_inline("no JSON object")})
    assert text.startswith("Your reply could not be read: no JSON object.\n")


def test_a_packages_template_is_checked_too() -> None:
    with pytest.raises(TemplateError, match=r"repair\.md\.j2 uses \['error'\], but is given \[\]"):
        PromptTemplate.load("optimizer.templates", "repair.md.j2", variables=frozenset())


def test_a_template_of_a_package_is_compiled_once() -> None:
    def load() -> PromptTemplate:
        return PromptTemplate.load("optimizer.templates", "repair.md.j2", variables=frozenset({"error"}))

    assert load() is load()
