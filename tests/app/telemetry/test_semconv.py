from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv.schemas import Schemas

from app.telemetry import semconv


def test_the_names_are_those_of_the_conventions_and_their_version_has_a_schema() -> None:
    known = {value for value in vars(gen_ai_attributes).values() if isinstance(value, str)}
    ours = {
        value
        for value in vars(semconv).values()
        if isinstance(value, str) and value.startswith("gen_ai.") and value != semconv.EVALUATION_RESULT
    }
    assert len(ours) > 20
    assert ours - known == set()
    assert Schemas("https://opentelemetry.io/schemas/1.41.0").value == semconv.SCHEMA_URL
