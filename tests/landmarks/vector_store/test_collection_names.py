import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmarks.errors import InvalidInputError
from landmarks.naming import (
    CollectionName,
    alias_name,
    check_gallery,
    collection_name,
    parse_alias_name,
    parse_collection_name,
)

WORDS = st.text("abcxyz0189", min_size=1, max_size=6)
NAMES = st.lists(WORDS, min_size=1, max_size=6).flatmap(
    lambda words: st.sampled_from("_-").map(lambda joint: joint.join(words))
)


def test_a_collection_is_named_after_gallery_model_and_digest():
    assert collection_name("landmarks", "vgg16_landmarks", "0123456789abcdef") == (
        "landmarks__vgg16_landmarks__01234567"
    )
    assert alias_name("landmarks", "vgg16_landmarks") == "landmarks__vgg16_landmarks"


@given(gallery=NAMES, model=NAMES, digest=st.text("0123456789abcdef", min_size=8, max_size=64))
def test_names_can_be_taken_apart_again(gallery: str, model: str, digest: str):
    name = collection_name(gallery, model, digest)
    assert parse_collection_name(name) == CollectionName(gallery, model, digest[:8])
    assert parse_alias_name(alias_name(gallery, model)) == (gallery, model)
    assert parse_collection_name(alias_name(gallery, model)) is None


@pytest.mark.parametrize(
    "name",
    ["", "a" * 65, "A", "a__b", "_a", "a_", "-a", "a-", "a-_b", "a--b", "a b", "ä", "a/b", "a\n"],
)
def test_what_is_not_a_name_is_refused(name: str):
    with pytest.raises(InvalidInputError) as caught:
        check_gallery(name)
    assert caught.value.field == "gallery"
    with pytest.raises(InvalidInputError):
        alias_name("fine", name)


@pytest.mark.parametrize("digest", ["", "abc", "0123456G", "ABCDEF01"])
def test_what_is_not_a_digest_is_refused(digest: str):
    with pytest.raises(InvalidInputError):
        collection_name("a", "b", digest)


@pytest.mark.parametrize("name", ["mine", "a__b", "a__b__c", "a__b__c__01234567", "A__b__01234567"])
def test_collections_of_others_are_left_alone(name: str):
    assert parse_collection_name(name) is None
