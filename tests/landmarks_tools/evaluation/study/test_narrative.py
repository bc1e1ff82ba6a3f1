from dataclasses import replace

import pytest

from landmarks_tools.evaluation.study.factors import KNOWN
from landmarks_tools.evaluation.study.hypothesis import Outcome
from landmarks_tools.evaluation.study.narrative import (
    Finding,
    Verdict,
    listed,
    verdict_of,
    verdict_on_the_guess,
)
from landmarks_tools.evaluation.study.template_filters import decimal, markdown, p_value, percentage

S, C, N, T = (
    Outcome.SUPPORTED,
    Outcome.CONTRADICTED,
    Outcome.NO_EVIDENCE,
    Outcome.NOT_TESTABLE,
)


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        ([S, S], Verdict.SUPPORTED),
        ([S, T], Verdict.SUPPORTED),
        ([S, N], Verdict.MIXED),
        ([S, C], Verdict.MIXED),
        ([N, N], Verdict.NOT_SUPPORTED),
        ([N, C], Verdict.CONTRADICTED),
        ([T, T], Verdict.NOT_TESTABLE),
        ([], Verdict.NOT_TESTABLE),
    ],
)
def test_a_verdict_follows_from_the_tests_that_could_be_made(outcomes, verdict):
    assert verdict_of(outcomes) is verdict


def findings(*verdicts: Verdict) -> list[Finding]:
    one = Finding(KNOWN[0], Verdict.NOT_SUPPORTED, Verdict.NOT_SUPPORTED, "")
    return [
        replace(one, factor=factor, verdict=verdict)
        for factor, verdict in zip(KNOWN, verdicts, strict=False)
    ]


@pytest.mark.parametrize(
    ("verdicts", "words"),
    [
        ((Verdict.SUPPORTED,) * 4, "is supported: supported for prominence, occlusion, viewpoint"),
        ((Verdict.NOT_SUPPORTED,) * 2, "is not supported: not supported for prominence and"),
        ((Verdict.CONTRADICTED, Verdict.NOT_SUPPORTED), "is not supported"),
        ((Verdict.MIXED, Verdict.NOT_SUPPORTED), "supported in part: mixed for prominence; not"),
        ((Verdict.SUPPORTED, Verdict.NOT_TESTABLE), "supported, as far as it could be tested"),
        ((Verdict.NOT_TESTABLE,) * 2, "could not be tested"),
    ],
)
def test_the_guess_is_judged_by_the_verdicts_alone(verdicts, words):
    assert words in verdict_on_the_guess(findings(*verdicts))


def test_the_check_is_told_beside_the_verdict():
    told = verdict_on_the_guess(findings(Verdict.SUPPORTED))

    assert told.endswith("The check, in the embedding and without the map:"
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
    told = verdict_on_the_guess(findings(Verdict.SUPPORTED), KNOWN[1:3])

    assert "supported, as far as it could be tested" in told
    assert "does not tell of occlusion and viewpoint" in told
    against = verdict_on_the_guess(findings(Verdict.NOT_SUPPORTED), KNOWN[1:3])
    assert "not supported, as far as it could be tested" in against
