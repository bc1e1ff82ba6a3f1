"""The filter that `--where` means."""

import pytest

from landmarkapi.search.v1 import search_pb2 as pb
from landmarks.errors import InvalidInputError
from landmarks_tools.cli.search import parse_where


def text(value: str) -> pb.FieldValue:
    return pb.FieldValue(text=value)


def test_each_operator_is_a_test_of_the_contract():
    passing = parse_where(
        [
            "landmark=Atomium",
            "landmark = Soreq cave",
            "split!=val",
            "year>=1900",
            "year<2000",
            "caption~golden dome",
            "a=b=c",
        ]
    )
    assert passing == pb.Filter(
        must=[
            pb.Condition(field="caption", words="golden dome"),
            pb.Condition(
                field="landmark",
                any_of=pb.FieldValues(values=[text("Atomium"), text("Soreq cave")]),
            ),
            pb.Condition(field="a", equals=text("b=c")),
            pb.Condition(field="year", range=pb.NumberRange(gte=1900, lt=2000)),
        ],
        must_not=[pb.Condition(field="split", equals=text("val"))],
    )


@pytest.mark.parametrize(
    ("clause", "said"),
    [("Atomium", "as in landmark=Atomium"), ("=x", "as in"), ("year>old", "'old' is not a number")],
)
def test_a_clause_that_means_nothing_is_refused(clause, said):
    with pytest.raises(InvalidInputError, match=said):
        parse_where([clause])
