"""Describes the figures in sentences; every statement is derived from the figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from landmarks.retrieval.metrics import Estimate
from landmarks.retrieval.projection import NEIGHBOURS
from landmarks_tools.evaluation.study.factors import LOOK_ALIKE, Factor
from landmarks_tools.evaluation.study.hypothesis import Evidence, FactorTest
from landmarks_tools.evaluation.study.study import Study


class FactorVerdict(Enum):
    """The conclusion from all encoders' tests of one factor."""

    SUPPORTED = "supported"
    MIXED = "mixed"
    NOT_SUPPORTED = "not supported"
    CONTRADICTED = "contradicted"
    NOT_TESTABLE = "not testable"


@dataclass(frozen=True)
class Finding:
    """A factor's verdict by the primary definition and by the check, and in sentences."""

    factor: Factor
    verdict: FactorVerdict
    check: FactorVerdict
    words: str


def findings(study: Study) -> list[Finding]:
    """Return the findings on each factor that the input has."""
    return [_finding(study, factor) for factor in study.factors]


def verdict_of(outcomes: Sequence[Evidence]) -> FactorVerdict:
    """Return the verdict of tests on several maps, ignoring those that could not be made."""
    parts = [outcome for outcome in outcomes if outcome is not Evidence.NOT_TESTABLE]
    if not parts:
        return FactorVerdict.NOT_TESTABLE
    if all(outcome is Evidence.SUPPORTED for outcome in parts):
        return FactorVerdict.SUPPORTED
    if Evidence.SUPPORTED in parts:
        return FactorVerdict.MIXED
    if Evidence.CONTRADICTED in parts:
        return FactorVerdict.CONTRADICTED
    return FactorVerdict.NOT_SUPPORTED


def verdict_on_the_guess(found: Sequence[Finding], missing: Sequence[Factor] = ()) -> str:
    """Return the verdict on the guess as a whole; `missing` factors have no data."""
    verdicts = [(each.factor.name, each.verdict) for each in found]
    checks = [(each.factor.name, each.check) for each in found]
    if not _tested(verdicts):
        whole = (
            "The study’s guess could not be tested on the maps: too few photos are in no cluster"
            " beside photos of the same landmark that are in one."
        )
    else:
        whole = f"The study’s guess is {_whole(verdicts, missing)}: {_by_verdict(verdicts)}."
    if missing:
        names = listed([factor.name for factor in missing])
        whole += f" The manifest of these photos has no data on {names}."
    return f"{whole} The check, in the embedding and without the map: {_by_verdict(checks)}."


def _tested(verdicts: Sequence[tuple[str, FactorVerdict]]) -> list[FactorVerdict]:
    return [verdict for _, verdict in verdicts if verdict is not FactorVerdict.NOT_TESTABLE]


def _whole(verdicts: Sequence[tuple[str, FactorVerdict]], missing: Sequence[Factor]) -> str:
    tested = _tested(verdicts)
    as_far = ", as far as it could be tested" if missing or len(tested) < len(verdicts) else ""
    if all(verdict is FactorVerdict.SUPPORTED for verdict in tested):
        return f"supported{as_far}"
    if FactorVerdict.SUPPORTED in tested or FactorVerdict.MIXED in tested:
        return f"supported in part{as_far}"
    return f"not supported{as_far}"


def _by_verdict(verdicts: Sequence[tuple[str, FactorVerdict]]) -> str:
    groups = {
        verdict: [name for name, each in verdicts if each is verdict] for verdict in FactorVerdict
    }
    parts = [f"{verdict.value} for {listed(names)}" for verdict, names in groups.items() if names]
    return "; ".join(parts)


def conclusions(study: Study) -> list[str]:
    """Return the paragraphs that the study ends with."""
    return [
        _on_clustering(study),
        _on_retrieval(study),
        *_on_maps(study),
        verdict_on_the_guess(findings(study), study.missing),
    ]


def limits(study: Study) -> list[str]:
    """Return the limits of these results."""
    parts = [
        "“No evidence” is not evidence of no effect: the fewer photos are in no cluster, or in one,"
        " the stronger an effect has to be to be found.",
        "The factors are correlated (a hidden landmark also fills less of the frame), and the tests"
        " take them one by one: they cannot show which of them is the cause.",
    ]
    if any(factor.name == "viewpoint" for factor in study.factors):
        parts.append(
            "An angle says little about a landmark that looks the same from all sides, such as a"
            " round tower; it was counted nevertheless."
        )
    if study.input.drawn:
        parts.append(
            "The photos are drawn by this project’s program, not taken: they have ground truth that"
            " no photo has, and less variety than photos have. What holds here need not hold there."
        )
    else:
        parts.append("One collection of photos is one case: others may come out differently.")
    trained = [name for name, each in study.models.items() if each.facts.saw_labels]
    if trained:
        parts.append(
            f"{listed(trained)} learned from labels of landmarks. Where photos of this gallery were"
            " among those it was trained on, its map and its figures flatter it."
        )
    return parts


def chance_purity(study: Study) -> float:
    """Return the mean purity of random labels."""
    _, inverse, counts = np.unique(study.labels, return_inverse=True, return_counts=True)
    others = counts[inverse] - 1
    k = min(NEIGHBOURS, len(study.labels) - 1)
    some = others > 0
    expected = k * others[some] / (len(study.labels) - 1) / np.minimum(others[some], k)
    return float(expected.mean()) if some.any() else float("nan")


def listed(names: Sequence[str]) -> str:
    """Return names as a sentence lists them."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def ranged(figure: Estimate, digits: int = 2) -> str:
    """Return a figure with its interval."""
    low, high = f"{figure.low:.{digits}f}", f"{figure.high:.{digits}f}"
    return f"{figure.value:.{digits}f} ({low} to {high})"


def _finding(study: Study, factor: Factor) -> Finding:
    tests = {name: each.tests[factor.name] for name, each in study.models.items()}
    verdict = verdict_of([test.primary.outcome for test in tests.values()])
    check = verdict_of([test.check.outcome for test in tests.values()])
    parts = _outcomes({name: test.primary for name, test in tests.items()})
    words = [f"{parts[0].upper()}{parts[1:]}."]
    words.append(f"By the check: {_outcomes({name: test.check for name, test in tests.items()})}.")
    if verdict is not check:
        words.append("The two definitions disagree, so interpret this with care.")
    if factor.name == LOOK_ALIKE and len(tests) == 1:
        words.append(
            "With one encoder this factor is measured in the vectors that the map is drawn from, so"
            " some of the effect is there by construction."
        )
    return Finding(factor, verdict, check, " ".join(words))


def _outcomes(tests: dict[str, FactorTest]) -> str:
    groups = []
    for outcome in Evidence:
        names = [
            name if outcome is Evidence.NOT_TESTABLE else f"{name} ({test.within.value:.2f})"
            for name, test in tests.items()
            if test.outcome is outcome
        ]
        if names:
            groups.append(f"{outcome.value} for {listed(names)}")
    return "; ".join(groups)


def _on_clustering(study: Study) -> str:
    means = {name: each.mean_purity for name, each in study.models.items()}
    ranked = sorted(means, key=lambda name: -means[name])
    parts = ", ".join(f"{name} {means[name]:.2f}" for name in ranked)
    least = min(means.values())
    chance = chance_purity(study)
    sentence = (
        f"Do the vectors cluster by landmark? Of a photo’s {NEIGHBOURS} nearest photos, the share"
        f" that shows its landmark, of as many as could, is: {parts}; chance would be {chance:.2f}."
    )
    if least > 2 * chance:
        return f"{sentence} That is more than twice chance{' for all' if len(means) > 1 else ''}."
    few = [name for name in ranked if means[name] <= 2 * chance]
    return f"{sentence} Less than twice chance: {listed(few)}."


def _on_retrieval(study: Study) -> str:
    scores = {name: each.result.mean_average_precision for name, each in study.models.items()}
    ranked = sorted(scores, key=lambda name: -scores[name].value)
    best = ranked[0]
    first = study.models[best].result.recall_at_1
    which = f"{best}, whose mAP is highest," if len(ranked) > 1 else best
    words = [
        f"Does the nearest photo show the same landmark? With {which} for {ranged(first)} of the"
        f" queries; its mAP is {ranged(scores[best])}."
    ]
    for name in ranked[1:]:
        difference = _difference(study, best, name)
        apart = "do not overlap" if scores[best].low > scores[name].high else "overlap"
        by = f"by {ranged(difference, 3)}, query by query; the two intervals {apart}"
        if difference.low > 0:
            words.append(f"It is ahead of {name} {by}.")
        else:
            words.append(f"It cannot be distinguished from {name}: ahead {by}.")
    for figure, value in study.models[best].result.figures.items():
        theirs = {name: study.models[name].result.figures[figure].value for name in ranked[1:]}
        if higher := [name for name in theirs if theirs[name] > value.value]:
            words.append(f"In {figure}, though, {listed(higher)} has a higher value.")
    return " ".join(words)


def _difference(study: Study, one: str, other: str) -> Estimate:
    if (one, other) in study.better:
        return study.better[one, other]
    turned = study.better[other, one]
    return Estimate(-turned.value, -turned.high, -turned.low)


def _on_maps(study: Study) -> list[str]:
    words = []
    for name, each in study.models.items():
        if each.inside is None or each.outside is None:
            alike = "every query is in a cluster" if each.inside else "no query is in a cluster"
            words.append(f"{name}: {alike}, so the place on its map says nothing about retrieval.")
            continue
        # Intervals of few zeros or ones have no width, so a handful of queries decides nothing.
        enough = min(each.outside_queries, each.result.queries - each.outside_queries) >= 5
        if enough and each.inside.low > each.outside.high:
            verdict = "the place on the map is informative"
        elif enough and each.outside.low > each.inside.high:
            verdict = "the place on the map misleads"
        else:
            verdict = "that difference is uncertain"
        words.append(
            f"{name}: the first photo is right for {ranged(each.inside)} of the queries in a"
            f" cluster and {ranged(each.outside)} of the {each.outside_queries} in none;"
            f" {verdict}."
        )
    parts = ["Is a place on the map worth anything? " + " ".join(words)]
    again = [
        f"{name} {each.redrawn:.2f}, {_agreement(each.redrawn)}"
        for name, each in study.models.items()
        if each.redrawn is not None and np.isfinite(each.redrawn)
    ]
    if again:
        parts.append(
            "A map drawn again from another start agrees with this one on which photos are in no"
            f" cluster by κ = {'; '.join(again)}. The less they agree, the less should be read off"
            " a map about a single photo."
        )
    return parts


def _agreement(value: float) -> str:
    """Return the word of Landis and Koch (1977) for a kappa."""
    words = {0.0: "poor", 0.2: "slight", 0.4: "fair", 0.6: "moderate", 0.8: "substantial"}
    return next((word for bound, word in words.items() if value < bound), "almost perfect")
