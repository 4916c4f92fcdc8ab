"""In-context examples as example banks store them."""

from optimizer.types import Example, JsonObject


def example_to_json(example: Example) -> JsonObject:
    """An example as a bank keeps it."""
    return {"id": example.id, "query": example.query, "answer": example.answer, "kind": example.kind}


def example_from_json(stored: JsonObject) -> Example:
    """An example out of a bank."""
    kind = stored.get("kind")
    return Example(
        id=str(stored["id"]),
        query=str(stored["query"]),
        answer=str(stored["answer"]),
        kind=kind if isinstance(kind, str) else None,
    )
