from dataclasses import replace

import pytest

from landmarks_tools.evaluation.study.factors import KNOWN
from landmarks_tools.evaluation.study.hypothesis import Evidence
from landmarks_tools.evaluation.study.narrative import (
    FactorVerdict,
    Finding,
    listed,
    verdict_of,
    verdict_on_the_guess,
)
from landmarks_tools.evaluation.study.template_filters import decimal, markdown, p_value, percentage

S, C, N, T = (
    Evidence.SUPPORTED,
    Evidence.CONTRADICTED,
    Evidence.NO_EVIDENCE,
    Evidence.NOT_TESTABLE,
)


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        ([S, S], FactorVerdict.SUPPORTED),
        ([S, T], FactorVerdict.SUPPORTED),
        ([S, N], FactorVerdict.MIXED),
        ([S, C], FactorVerdict.MIXED),
        ([N, N], FactorVerdict.NOT_SUPPORTED),
        ([N, C], FactorVerdict.CONTRADICTED),
        ([T, T], FactorVerdict.NOT_TESTABLE),
        ([], FactorVerdict.NOT_TESTABLE),
    ],
)
def test_a_verdict_follows_from_the_tests_that_could_be_made(outcomes, verdict):
    assert verdict_of(outcomes) is verdict


def findings(*verdicts: FactorVerdict) -> list[Finding]:
    one = Finding(KNOWN[0], FactorVerdict.NOT_SUPPORTED, FactorVerdict.NOT_SUPPORTED, "")
    return [
        replace(one, factor=factor, verdict=verdict)
        for factor, verdict in zip(KNOWN, verdicts, strict=False)
    ]


@pytest.mark.parametrize(
    ("verdicts", "words"),
    [
        (
            (FactorVerdict.SUPPORTED,) * 4,
            "is supported: supported for prominence, occlusion, viewpoint",
        ),
        ((FactorVerdict.NOT_SUPPORTED,) * 2, "is not supported: not supported for prominence and"),
        ((FactorVerdict.CONTRADICTED, FactorVerdict.NOT_SUPPORTED), "is not supported"),
        (
            (FactorVerdict.MIXED, FactorVerdict.NOT_SUPPORTED),
            "supported in part: mixed for prominence; not",
        ),
        (
            (FactorVerdict.SUPPORTED, FactorVerdict.NOT_TESTABLE),
            "supported, as far as it could be tested",
        ),
        ((FactorVerdict.NOT_TESTABLE,) * 2, "could not be tested"),
    ],
)
def test_the_guess_is_judged_by_the_verdicts_alone(verdicts, words):
    assert words in verdict_on_the_guess(findings(*verdicts))


def test_the_check_is_reported_beside_the_verdict():
    text = verdict_on_the_guess(findings(FactorVerdict.SUPPORTED))

    assert text.endswith("The check, in the embedding and without the map:"
                         " not supported for prominence.")  # fmt: skip


def test_values_that_are_not_there_are_dashes_and_tiny_p_values_are_bounded():
    nan = float("nan")

    assert (decimal(nan), decimal(None), percentage(nan), p_value(nan)) == ("–",) * 4
    assert p_value(0.0001) == "< 0.001"
    assert p_value(0.0312) == "0.031"


def test_markup_in_names_is_text_in_markdown():
    assert markdown("a|b_c<d>*") == r"a\|b\_c&lt;d&gt;\*"
    assert listed(["a", "b", "c"]) == "a, b and c"


def test_what_could_not_be_asked_for_limits_the_verdict():
    text = verdict_on_the_guess(findings(FactorVerdict.SUPPORTED), KNOWN[1:3])

    assert "supported, as far as it could be tested" in text
    assert "has no data on occlusion and viewpoint" in text
    against = verdict_on_the_guess(findings(FactorVerdict.NOT_SUPPORTED), KNOWN[1:3])
    assert "not supported, as far as it could be tested" in against
