import pytest

from benchmarks.load_results import TimedCall, Traffic, Window


def test_a_call_counts_for_the_part_of_it_that_lies_in_the_window():
    window = Window(10, 20)
    inside, half = TimedCall(12, 14, "OK", 1), TimedCall(18, 22, "OK", 8)
    before, failed = TimedCall(1, 2, "OK", 9), TimedCall(11, 12, "UNAVAILABLE", 0)
    traffic = Traffic([inside, half, before, failed], [window])
    assert traffic.rate() == pytest.approx((1 + 4) / 10)
    assert traffic.completed_rate(window) == pytest.approx(1 / 10)
    assert traffic.completed_rate(Window(20, 30)) == pytest.approx(8 / 10)


def test_latency_is_that_of_calls_that_succeeded_in_the_window():
    calls = [
        TimedCall(10, 10.1, "OK", 1),
        TimedCall(10, 19, "UNAVAILABLE", 0),
        TimedCall(1, 9, "OK", 1),
    ]
    traffic = Traffic(calls, [Window(10, 20)])
    assert traffic.p95() == pytest.approx(0.1)
    assert traffic.codes() == {"OK": 1, "UNAVAILABLE": 1}
    with pytest.raises(ValueError, match="no call succeeded"):
        Traffic(calls[1:], [Window(10, 20)]).p95()
