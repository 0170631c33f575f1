"""Logs for people and for machines, and the event-loop lag probe."""

import asyncio
import contextlib
import io
import json
import logging
import time
from collections.abc import Iterator

import pytest

from trivium_server.telemetry import LoopLagProbe, MemoryMetrics, configure_logging, log, printable
from trivium_server.telemetry.metrics import CallRecord


@pytest.fixture
def logger() -> logging.Logger:
    return logging.getLogger("trivium.test")


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    root = logging.getLogger("trivium")
    handlers, level, propagate = root.handlers[:], root.level, root.propagate
    yield
    root.handlers[:], root.propagate = handlers, propagate
    root.setLevel(level)


def test_json_lines_have_fields_and_traceback(logger: logging.Logger) -> None:
    out = io.StringIO()
    configure_logging("info", "json", out)
    log(logger, logging.INFO, "model is ready", model="m", seconds=1.5, share=0.1 + 0.2)
    log(logger, logging.DEBUG, "not shown")
    try:
        raise KeyError("x")
    except KeyError:
        logger.exception("a defect")
    ready, defect = [json.loads(line) for line in out.getvalue().splitlines()]
    assert (ready["message"], ready["level"], ready["model"], ready["seconds"]) == ("model is ready", "info", "m", 1.5)
    assert ready["share"] == 0.3, "no noise of binary fractions"
    assert ready["time"].endswith("+00:00")
    assert "KeyError" in defect["exception"]


def test_text_lines_are_short_and_quote_what_needs_it(logger: logging.Logger) -> None:
    out = io.StringIO()
    configure_logging("warning", "text", out)
    log(logger, logging.WARNING, "listening", address="127.0.0.1:1", why="two words", empty="", share=0.123456789)
    line = out.getvalue()
    assert 'WARNING listening  address=127.0.0.1:1  why="two words"  share=0.123457\n' in line
    assert "empty" not in line


@pytest.mark.parametrize("style", ["json", "text"])
def test_a_clients_text_cannot_forge_a_line(logger: logging.Logger, style: str) -> None:
    out = io.StringIO()
    configure_logging("info", style, out)  # type: ignore[arg-type]  # a table of styles
    log(logger, logging.INFO, "call", client=printable("a\n12:00 INFO forged \x1b[31m"))
    assert len(out.getvalue().splitlines()) == 1
    assert "\x1b" not in out.getvalue()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("demo/1.0", "demo/1.0"),
        ("x" * 1000, "x" * 128),
        ("é", "\\xe9"),
        ("\n", "\\n"),
        ("", ""),
        ("\U0001f642" * 99, "\\U0001f642" * 51),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.alone
def test_a_blocked_loop_is_noticed_and_an_idle_one_is_not(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("trivium").propagate = True

    async def run(block_s: float) -> LoopLagProbe:
        probe = LoopLagProbe(interval_s=0.001, window=20, alarm_s=0.05)
        task = asyncio.create_task(probe.run())
        for _ in range(20):
            time.sleep(block_s)  # noqa: ASYNC251  # blocking the loop is the point
            await asyncio.sleep(0.002)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return probe

    assert asyncio.run(run(0.1)).p99_s() > 0.05
    (report,) = [record for record in caplog.records if record.message == "the event loop is late"]
    fields = report.fields  # type: ignore[attr-defined]  # what our log adds to a record
    assert fields["late_percent"] >= 30
    assert all(value == round(value, 1) for value in fields.values())
    caplog.clear()
    asyncio.run(run(0.0))
    assert "the event loop is late" not in caplog.text
    probe = LoopLagProbe()
    assert (probe.p99_s(), probe.max_s()) == (0.0, 0.0)


def test_memory_metrics_count_and_stay_bounded() -> None:
    metrics = MemoryMetrics(max_records=10)
    for number in range(25):
        metrics.call_started("/m")
        metrics.call_finished(
            CallRecord(
                method="/m",
                status="OK",
                reason="",
                duration_s=number,
                request_bytes=1,
                response_bytes=1,
                responses=1,
                input_tokens=0,
                output_tokens=0,
                num_images=0,
                num_pixels=0,
                input_audio_s=0.0,
                output_audio_s=0.0,
            )
        )
    assert metrics.started["/m"] == 25
    assert metrics.finished["/m", "OK"] == 25
    assert metrics.in_flight["/m"] == 0
    assert len(metrics.records) <= 10
    assert metrics.records[-1].duration_s == 24
