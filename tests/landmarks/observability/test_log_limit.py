"""Strangers cannot fill the log, and nothing is left out in silence."""

import logging

import pytest

from landmarks.observability.log_limit import RepeatLimit


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.mark.parametrize("words", ["accept() failed", {"event": "request refused", "code": 16}])
def test_lines_beyond_a_limit_are_counted_instead(words: str | dict[str, object]) -> None:
    clock, lines = Clock(), Lines()
    logger = logging.Logger("strangers")
    logger.addHandler(lines)
    logger.addFilter(RepeatLimit(clock))

    for _ in range(1000):
        logger.error(words.copy() if isinstance(words, dict) else words)
    logger.error("something else")
    assert len(lines.records) == 61
    clock.now = 60
    logger.error(words)
    last = lines.records[-1]
    assert (last.msg if isinstance(last.msg, dict) else vars(last))["left_out"] == 940
