"""Whose landmark a photo is, by its folders."""

import pytest

from landmarks.errors import InvalidInputError
from landmarks.photos.labels import ignore_rule, is_time, label_rule, normal

DEEP = ["2019", "Italy", "Rome - Colosseum"]


@pytest.mark.parametrize(
    ("rule", "label", "without"),
    [
        ("", "2019", None),
        ("first", "2019", None),
        ("last", "Rome - Colosseum", None),
        ("level:2", "Italy", None),
        ("level:3", "Rome - Colosseum", None),
        ("level:4", None, None),
        ("none", None, None),
        ("{year}/{country}/{landmark}", "Rome - Colosseum", None),
        ("{year}/{country}/{city} - {landmark}", "Colosseum", None),
        ("2019/{landmark}", "Italy", None),
        ("2020/{landmark}", None, None),
        ("{year}/{landmark}/", "Italy", None),
        ("{y}/{c}/Rome - {landmark}eum", "Coloss", None),
        ("{y}/{c}/Rome - Colosseum{landmark}", None, None),
        ("{a}/{b}/{c}/{landmark}", None, None),
    ],
)
def test_a_rule_says_which_folder_is_the_landmark(rule, label, without):
    assert label_rule(rule)(DEEP) == label
    assert label_rule(rule)([]) is without


UNFIT = (
    "second level: level:0 level:x level:101 level:² {year}/{country} {landmark {landmark}}"
    " {a}{landmark} {landmark}/{landmark} {}/{landmark} a//{landmark}"
)


@pytest.mark.parametrize("rule", [*UNFIT.split(), "{landmark}" + "x" * 500])
def test_a_rule_that_says_nothing_is_refused_with_those_that_do(rule):
    with pytest.raises(InvalidInputError, match=r"Rules are first, last") as caught:
        label_rule(rule)
    assert caught.value.field == "label"


def test_a_pattern_of_many_names_takes_no_time():
    pattern = "-".join(f"{{n{n}}}" for n in range(80)) + "-{landmark}!"
    assert label_rule(pattern)(["-".join("x" * 200)]) is None


def test_both_forms_of_an_accent_are_one_label():
    assert normal("Sacre\u0301-C\u0153ur ") == "Sacr\u00e9-C\u0153ur"
    assert label_rule("Cafe\u0301/{landmark}")(["Caf\u00e9", "e\u0301"]) == "\u00e9"
    assert normal(" ") is None


def test_folders_are_ignored_by_name_whatever_their_case():
    ignored = ignore_rule(["private", "Export*", "Cafe\u0301"])
    assert [name for name in ("Private", "exports", "Caf\u00e9", "privates") if ignored(name)] == [
        "Private",
        "exports",
        "Caf\u00e9",
    ]
    for wrong in ("a/b", "", "x" * 501):
        with pytest.raises(InvalidInputError, match="folders to ignore"):
            ignore_rule([wrong])


def test_folders_of_a_time_are_recognised():
    times = ["2019", "Photos from 2019", "Fotos von 2019", "2019-05-01", "20190501", "2019_05"]
    assert all(map(is_time, times))
    places = ["Expo 58", "1889 tower", "Big_Ben", "Tower of 1999 steps", "Room 2019 b", "12345"]
    assert not any(map(is_time, places))
