"""Logs: one JSON object a line for machines, or plain lines for a terminal."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from landmarks.observability.log_limit import RepeatLimit
from landmarks.redaction import redacted
from landmarks.settings import Settings
from landmarks.visible_text import visible_lines

# Where requests are refused, and connections fail.
_LIMITED = ("landmarks.rpc.call_interceptor", "aiohttp.server", "asyncio")


def configure_logging(settings: Settings, service: str) -> None:
    """Send the logs of structlog and of the standard library to standard error."""

    def name_service(
        _logger: object, _method: str, event: structlog.types.EventDict
    ) -> structlog.types.EventDict:
        event["service"] = service
        return event

    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        name_service,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ExtraAdder(),
    ]
    if settings.otlp_endpoint:
        from landmarks.observability.tracing import add_trace_id

        shared.append(add_trace_id)
    renderer: structlog.types.Processor
    if settings.log_format == "json":
        shared.append(structlog.processors.format_exc_info)
        renderer = structlog.processors.JSONRenderer()
    else:
        shared.append(visible_values)
        # A plain traceback: the richer ones print local variables, photos among them.
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    structlog.configure(
        # Levels first: under load, most of the cost of a line is formatting it.
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                renderer,
                _redacted_line,
            ],
        )
    )
    for name in _LIMITED:
        logging.getLogger(name).addFilter(RepeatLimit())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    structlog.get_logger(service).info("settings", **_described(settings))


def visible_values(
    _logger: object, _method: str, event: structlog.types.EventDict
) -> structlog.types.EventDict:
    """Show control characters as escapes, such as those of file names: a terminal would obey."""
    return {
        key: visible_lines(value) if isinstance(value, str) else value
        for key, value in event.items()
    }


def _redacted_line(_logger: object, _method: str, line: Any) -> str:  # noqa: ANN401 - rendered
    """Strike passwords out of the whole line: other libraries log addresses, tracebacks too."""
    return redacted(str(line))


def _described(settings: Settings) -> dict[str, str]:
    """Return the settings as texts, with passwords inside addresses struck out."""
    return {f"setting_{name}": redacted(str(value)) for name, value in settings}
