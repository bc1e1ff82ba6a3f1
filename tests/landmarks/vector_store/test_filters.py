import pytest
from qdrant_client import models

from landmarks.errors import InvalidInputError
from landmarks.vector_store.filters import AnyOf, Equals, Filter, Range, field_path, to_qdrant


def test_the_empty_filter_passes_everything():
    assert to_qdrant(Filter()) is None
    assert not Filter()


def test_conditions_become_those_of_qdrant():
    converted = to_qdrant(
        Filter(
            must=(Equals("landmark", "Atomium"), AnyOf("year", (1, 2))),
            must_not=(Range("width", gte=10, lt=20),),
        )
    )
    assert converted == models.Filter(
        must=[
            models.FieldCondition(key="landmark", match=models.MatchValue(value="Atomium")),
            models.FieldCondition(key="year", match=models.MatchAny(any=[1, 2])),
        ],
        must_not=[models.FieldCondition(key="width", range=models.Range(gte=10, lt=20))],
    )


def test_unusual_names_of_fields_are_quoted():
    assert field_path("landmark") == "landmark"
    assert field_path("taken by") == '"taken by"'
    assert field_path("Straße") == '"Straße"'
    for name in ("", "a.b", 'a"b', "a[0]"):
        with pytest.raises(InvalidInputError):
            field_path(name)


def test_a_range_needs_a_bound():
    with pytest.raises(InvalidInputError, match="no bound"):
        to_qdrant(Filter(must=(Range("width"),)))


def test_values_of_several_types_are_refused():
    with pytest.raises(InvalidInputError, match="neither"):
        to_qdrant(Filter(must=(AnyOf("year", (1, "2")),)))  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="neither"):
        to_qdrant(Filter(must=(AnyOf("night", (True, False)),)))
