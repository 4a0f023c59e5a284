"""What holds for every test: a missing part is listed with its reason, and is a failure in CI."""

import os
from collections.abc import Generator, Iterator

import pytest
import structlog


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI nothing may be left out: a skip says what was missing, and fails."""
    report = yield
    if os.environ.get("CI") == "true" and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"left out in CI: {reason}"
    return report


@pytest.fixture(autouse=True)
def _logs_of_its_own() -> Iterator[None]:
    """A command that a test runs in this process sets logs up for the test's stderr, which is closed after it."""
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
