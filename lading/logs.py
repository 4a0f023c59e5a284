"""structlog set-up: one JSON line an event off a terminal, coloured lines on one. Always to stderr."""

import logging
import sys

import structlog


def configure(stage: str, *, level: int = logging.INFO) -> None:
    """Set logging up for a stage's process; every line carries the stage's name."""
    terminal = sys.stderr.isatty()
    renderer = structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(stage=stage)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, force=True)
