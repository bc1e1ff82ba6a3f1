"""Arguments of the client that are missing, unknown or of another kind are named."""

from __future__ import annotations

import pytest

from landmarks.client import Landmarks
from landmarks.errors import InvalidInputError

CALLS = {
    "the argument 'gallery' is missing": lambda client: client.search(photo=b"x"),
    "there is no option 'galery'; there are: gallery": lambda client: client.search(galery="g"),
    "'gallery' is missing": lambda client: client.batch_search([{"photo": b"x"}]),
    "there is no option 'dryrun'": lambda client: client.index("/x", gallery="g", dryrun=True),
    "there is no option 'modles'": lambda client: client.delete("g", modles=[], source="s"),
    "there is no option 'splitz'": lambda client: client.calibrate("g", splitz=["test"]),
    "there is no option 'marginal'": lambda client: client.reindex("g", "m", marginal=1),
    "there is no option 'wher'": lambda client: client.count_values("g", wher={}),
    "give a list of texts, such as \\['vgg16'\\]": lambda client: client.search(
        photo=b"x", gallery="g", models="vgg16"
    ),
    "splits is the text 'train'": lambda client: client.index("/x", gallery="g", splits="train"),
    "ids is the text 'a'": lambda client: client.delete("g", ids="a"),
    "the search cannot be sent": lambda client: client.search(photo="text", gallery="g"),
}


@pytest.mark.parametrize("message", CALLS)
def test_an_argument_that_cannot_be_used_is_named(message: str) -> None:
    with Landmarks("127.0.0.1:1") as client, pytest.raises(InvalidInputError, match=message):
        CALLS[message](client)
