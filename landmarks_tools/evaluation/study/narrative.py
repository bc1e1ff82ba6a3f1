"""What the figures say, in words. Nothing is said here that is not decided by the figures."""

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
    """What all encoders' tests of one factor amount to."""

    SUPPORTED = "supported"
    MIXED = "mixed"
    NOT_SUPPORTED = "not supported"
    CONTRADICTED = "contradicted"
    NOT_TESTABLE = "not testable"


@dataclass(frozen=True)
class Finding:
    """A factor's verdict by the primary definition, and in sentences, the check's among them."""

    factor: Factor
    verdict: FactorVerdict
    check: FactorVerdict
    words: str


def findings(study: Study) -> list[Finding]:
    """Return what the tests say of each factor that could be had."""
    return [_finding(study, factor) for factor in study.factors]


def verdict_of(outcomes: Sequence[Evidence]) -> FactorVerdict:
    """Return what tests on several maps amount to; those that could not be made do not count."""
    told = [outcome for outcome in outcomes if outcome is not Evidence.NOT_TESTABLE]
    if not told:
        return FactorVerdict.NOT_TESTABLE
    if all(outcome is Evidence.SUPPORTED for outcome in told):
        return FactorVerdict.SUPPORTED
    if Evidence.SUPPORTED in told:
        return FactorVerdict.MIXED
    if Evidence.CONTRADICTED in told:
        return FactorVerdict.CONTRADICTED
    return FactorVerdict.NOT_SUPPORTED


def verdict_on_the_guess(found: Sequence[Finding], missing: Sequence[Factor] = ()) -> str:
    """Return what becomes of the guess as a whole; `missing` could not even be asked for."""
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
        whole += f" The manifest of these photos does not tell of {names}."
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
    told = [f"{verdict.value} for {listed(names)}" for verdict, names in groups.items() if names]
    return "; ".join(told)


def conclusions(study: Study) -> list[str]:
    """Return the paragraphs that the study ends with."""
    return [
        _on_clustering(study),
        _on_retrieval(study),
        *_on_maps(study),
        verdict_on_the_guess(findings(study), study.missing),
    ]


def limits(study: Study) -> list[str]:
    """Return what to keep in mind with these results."""
    told = [
        "“No evidence” is not evidence of no effect: the fewer photos are in no cluster, or in one,"
        " the stronger an effect has to be to be found.",
        "The factors go together (a hidden landmark also fills less of the frame), and the tests"
        " take them one by one: which of them is the cause they cannot tell.",
    ]
    if any(factor.name == "viewpoint" for factor in study.factors):
        told.append(
            "An angle says little of a landmark that looks the same from all sides, as a round"
            " tower does; it was counted all the same."
        )
    if study.input.drawn:
        told.append(
            "The photos are drawn by this project’s program, not taken: they have ground truth that"
            " no photo has, and less variety than photos have. What holds here need not hold there."
        )
    else:
        told.append("One collection of photos is one case: others may come out differently.")
    trained = [name for name, each in study.models.items() if each.facts.saw_labels]
    if trained:
        told.append(
            f"{listed(trained)} learned from labels of landmarks. Where photos of this gallery were"
            " among those it was trained on, its map and its figures flatter it."
        )
    return told


def chance_purity(study: Study) -> float:
    """Return the mean purity that labels without any meaning would have."""
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
    told = _outcomes({name: test.primary for name, test in tests.items()})
    words = [f"{told[0].upper()}{told[1:]}."]
    words.append(f"By the check: {_outcomes({name: test.check for name, test in tests.items()})}.")
    if verdict is not check:
        words.append("The two definitions do not say the same, so take it with care.")
    if factor.name == LOOK_ALIKE and len(tests) == 1:
        words.append(
            "With one encoder this factor is measured in the vectors that the map is drawn from, so"
            " some of it is there by construction."
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
    told = ", ".join(f"{name} {means[name]:.2f}" for name in ranked)
    least = min(means.values())
    chance = chance_purity(study)
    sentence = (
        f"Do the vectors cluster by landmark? Of a photo’s {NEIGHBOURS} nearest photos, the share"
        f" that shows its landmark, of as many as could, is: {told}; chance would be {chance:.2f}."
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
            words.append(f"It cannot be told apart from {name}: ahead {by}.")
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
            words.append(f"{name}: {alike}, so the place on its map tells nothing of retrieval.")
            continue
        # Intervals of few zeros or ones have no width, so a handful of queries decides nothing.
        enough = min(each.outside_queries, each.result.queries - each.outside_queries) >= 5
        if enough and each.inside.low > each.outside.high:
            verdict = "the place on the map is informative"
        elif enough and each.outside.low > each.inside.high:
            verdict = "the place on the map misleads"
        else:
            verdict = "that difference is not beyond doubt"
        words.append(
            f"{name}: the first photo is right for {ranged(each.inside)} of the queries in a"
            f" cluster and {ranged(each.outside)} of the {each.outside_queries} in none;"
            f" {verdict}."
        )
    told = ["Is a place on the map worth anything? " + " ".join(words)]
    again = [
        f"{name} {each.redrawn:.2f}, {_agreement(each.redrawn)}"
        for name, each in study.models.items()
        if each.redrawn is not None and np.isfinite(each.redrawn)
    ]
    if again:
        told.append(
            "A map drawn anew from another start agrees with this one on which photos are in no"
            f" cluster by κ = {'; '.join(again)}. The less they agree, the less should be read off"
            " a map about a single photo."
        )
    return told


def _agreement(value: float) -> str:
    """Return the word of Landis and Koch (1977) for a kappa."""
    words = {0.0: "poor", 0.2: "slight", 0.4: "fair", 0.6: "moderate", 0.8: "substantial"}
    return next((word for bound, word in words.items() if value < bound), "almost perfect")
