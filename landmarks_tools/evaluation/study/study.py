"""Computes the study of some photos by some models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from encoder_service.settings import EncoderSettings
from landmarks.errors import InvalidInputError
from landmarks.retrieval.labelled_photos import GalleryAndQueries, LabelledPhoto
from landmarks.retrieval.metrics import Estimate, estimate, evaluate
from landmarks.retrieval.projection import FloatMatrix, Labels
from landmarks_tools.evaluation.embeddings import embeddings
from landmarks_tools.evaluation.study import factors
from landmarks_tools.evaluation.study.encoder_facts import encoder_facts
from landmarks_tools.evaluation.study.example_queries import ExampleQuery, choose_queries
from landmarks_tools.evaluation.study.factors import LOOK_ALIKE, Factor
from landmarks_tools.evaluation.study.model_study import ModelStudy, corrected, study_model

_FEWEST_PHOTOS = 8
_FEWEST_LANDMARKS = 2

Progress = Callable[[str, int, int], None]  # the step, how much is done, of how much


@dataclass(frozen=True)
class StudyInput:
    """The photos to study, as gallery and queries, and a name for them."""

    name: str
    photos: GalleryAndQueries
    drawn: bool = False  # by this project's own program, not photographed


@dataclass(frozen=True, eq=False)
class Study:
    """The whole study. `photos` (N) are all of the input's, each once; `labels` (N,) are theirs.

    Labels are places in `landmarks`. `scored` (Q,) are the places of the queries that could be
    scored, and `query_landmarks` (Q) what they show. `missing` are the factors for which the input
    has no columns. `better` has for each pair of models the mean difference of the average
    precisions of the same queries, first minus second.
    """

    input: StudyInput
    seed: int
    photos: Sequence[LabelledPhoto]
    labels: Labels
    landmarks: Sequence[str]
    scored: Labels
    query_landmarks: Sequence[str]
    factors: Sequence[Factor]
    missing: Sequence[Factor]
    models: Mapping[str, ModelStudy]
    better: Mapping[tuple[str, str], Estimate]
    shown: Sequence[ExampleQuery]


def make_study(
    given: StudyInput,
    models: Sequence[str],
    settings: EncoderSettings,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Study:
    """Return the study of these photos by these models.

    Raises InvalidInputError for no model, or fewer than eight photos or two landmarks, and as
    `embeddings`, `metrics.evaluate` and `encoder_facts`.
    """
    report = progress or _quiet
    gallery, queries = given.photos.gallery, given.photos.queries
    photos = list({photo.path: photo for photo in (*gallery, *queries)}.values())
    names, codes = np.unique([photo.landmark for photo in photos], return_inverse=True)
    landmarks: list[str] = names.tolist()
    labels = codes.reshape(-1).astype(np.int64)
    if not models or len(photos) < _FEWEST_PHOTOS or len(landmarks) < _FEWEST_LANDMARKS:
        raise InvalidInputError(
            f"a study needs a model, {_FEWEST_PHOTOS} photos and {_FEWEST_LANDMARKS} landmarks;"
            f" there are {len(models)}, {len(photos)} and {len(landmarks)}"
        )
    vectors = _vectors(photos, models, settings, report)
    columns = factors.from_columns([photo.columns for photo in photos], labels)
    alike = factors.look_alikes(vectors, labels)
    known = [each for each in factors.KNOWN if each.name in (*columns, LOOK_ALIKE)]
    place_of = {photo.path: place for place, photo in enumerate(photos)}
    gallery_rows = np.array([place_of[photo.path] for photo in gallery], np.int64)
    query_rows = np.array([place_of[photo.path] for photo in queries], np.int64)
    found: dict[str, ModelStudy] = {}
    for done, model in enumerate(models):
        report("maps and tests", done, len(models))
        result = evaluate(
            vectors[model][gallery_rows],
            [photo.landmark for photo in gallery],
            vectors[model][query_rows],
            [photo.landmark for photo in queries],
            left_out=given.photos.own_places,
            seed=seed,
        )
        values = {**columns, LOOK_ALIKE: alike[model]}
        found[model] = study_model(
            encoder_facts(model, settings),
            vectors[model],
            labels,
            landmarks,
            {each.name: (values[each.name], each.sign) for each in known},
            result,
            query_rows[result.scored],
            seed=seed,
        )
    report("maps and tests", len(models), len(models))
    scored = found[models[0]].result.scored
    query_landmarks = [queries[place].landmark for place in scored]
    precisions = {name: each.result.average_precisions for name, each in found.items()}
    return Study(
        input=given,
        seed=seed,
        photos=photos,
        labels=labels,
        landmarks=landmarks,
        scored=scored,
        query_landmarks=query_landmarks,
        factors=known,
        missing=[each for each in factors.KNOWN if each not in known],
        models=corrected(found),
        better={
            (one, other): estimate(precisions[one] - precisions[other], seed)
            for place, one in enumerate(models)
            for other in models[place + 1 :]
        },
        shown=choose_queries(
            query_landmarks,
            precisions,
            {name: each.result.first_right for name, each in found.items()},
        ),
    )


def _vectors(
    photos: Sequence[LabelledPhoto],
    models: Sequence[str],
    settings: EncoderSettings,
    report: Progress,
) -> dict[str, FloatMatrix]:
    vectors: dict[str, FloatMatrix] = {}
    for model in models:

        def show(done: int, total: int, model: str = model) -> None:
            report(f"embeddings by {model}", done, total)

        vectors[model] = embeddings(model, photos, settings, show)
    return vectors


def _quiet(_what: str, _done: int, _total: int) -> None:
    pass
