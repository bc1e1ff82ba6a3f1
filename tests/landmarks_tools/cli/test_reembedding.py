from landmarkapi.indexing.v1 import indexing_pb2 as indexing
from landmarkapi.search.v1 import search_pb2 as search
from landmarks_tools.cli.reembedding import offers

MODELS = [
    search.ServedModel(name="m", digest="new", ready=True),
    search.ServedModel(name="m", digest="old", ready=True, superseded_by="new"),
    search.ServedModel(name="away"),
]


def collection(digest: str, *, live: bool = True, model: str = "m") -> indexing.Collection:
    name = f"g__{model}__{digest}"
    return indexing.Collection(name=name, gallery="g", model=model, digest=digest, live=live)


def test_a_gallery_of_an_earlier_revision_is_offered_the_command_that_makes_it_again() -> None:
    found = [collection("new"), collection("old", live=False), collection("x", model="away")]
    assert offers(found, MODELS) == []
    [offer] = offers([collection("old")], MODELS)
    assert "earlier revision" in offer
    assert "landmarks reindex m -g g" in offer
    [offer] = offers([collection("older")], MODELS)
    assert "no encoder has its digest older" in offer
