"""What a person says of a photo counts more than its source."""

import pytest

from landmarks.errors import InvalidInputError
from landmarks.vector_store.points import PhotoPayload
from landmarks.vector_store.said import NOTHING_SAID, Said
from tests.support.stores import photo


@pytest.mark.parametrize(
    ("said", "label", "shown"),
    [
        (NOTHING_SAID, "a", "a"),
        (NOTHING_SAID, None, None),
        (Said().labelled("b"), "a", "b"),
        (Said().labelled("b"), None, "b"),
        (Said().labelled(""), "a", None),
        (Said().refusing("a"), "a", None),
        (Said().refusing("a"), "b", "b"),
        (Said().refusing("a").labelled("a"), "b", "a"),
        (Said().labelled("b").refusing("a"), "a", "b"),
        (Said().labelled("b").refusing("b"), "a", "a"),
    ],
)
def test_the_last_word_on_a_label_is_the_persons(said: Said, label: str | None, shown: str | None):
    assert said.shown(label) == shown


@pytest.mark.parametrize("label", ["a", None])
@pytest.mark.parametrize(
    "said",
    [
        NOTHING_SAID,
        Said("b", ("a", "c"), at=5),
        Said("", at=5),
        Said(taken_out=True, at=6),
        Said(at=7),
    ],
)
def test_what_was_said_and_the_sources_label_survive_being_stored(said: Said, label: str | None):
    payload = photo(1, landmark=label, said=said)
    assert PhotoPayload.from_payload(payload.to_payload()) == payload
    assert payload.to_payload().get("landmark") == said.shown(label)


def test_columns_of_an_earlier_release_say_nothing():
    stored = photo(1).to_payload() | {"said_landmark": "x", "said_at": "noon", "source_landmark": 1}
    assert PhotoPayload.from_payload(stored).said == NOTHING_SAID
    with pytest.raises(InvalidInputError):
        PhotoPayload.from_payload(stored | {"said_at": 5})
