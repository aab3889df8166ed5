"""Spans of calls, as an exporter in memory sees them; and none where nobody traces."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from stream_ml.serving import tracing
from stream_ml.serving.results import NoModelYet, Scores
from stream_ml.serving.tracing import call_span

SCORES = Scores((), "clicks", "v3", "f" * 32, 42, None, 0.25, False, None)


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Trace meanwhile; a provider of the process could be set only once."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing.trace, "get_tracer", provider.get_tracer)
    yield exporter
    provider.shutdown()


def only(exporter: InMemorySpanExporter) -> ReadableSpan:
    (span,) = exporter.get_finished_spans()
    return span


def test_a_call_is_a_span_that_says_what_was_answered(exported: InMemorySpanExporter) -> None:
    with call_span("score", 7) as span:
        span.answered(SCORES)
    seen = only(exported)
    assert (seen.name, seen.kind) == ("stream_ml.Predictor/score", SpanKind.CLIENT)
    attributes = dict(seen.attributes or {})
    assert attributes["rpc.method"] == "score"
    assert [attributes[f"stream_ml.{name}"] for name in ("events", "variant", "step")] == [7, "v3", 42]
    assert seen.status.status_code is StatusCode.UNSET


def test_the_correlation_id_is_the_spans_trace_context(exported: InMemorySpanExporter) -> None:
    with call_span("score") as span:
        said = span.trace_context
    context = only(exported).get_span_context()
    assert context is not None
    assert said == f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    assert len(said) == 55


def test_a_call_is_part_of_the_callers_trace(exported: InMemorySpanExporter) -> None:
    with tracing.trace.get_tracer("app").start_as_current_span("page") as page, call_span("score"):
        pass
    call = exported.get_finished_spans()[0]
    assert call.parent is not None
    assert call.parent.span_id == page.get_span_context().span_id


def test_attempts_without_an_answer_are_events_and_a_failed_call_is_an_error(
    exported: InMemorySpanExporter,
) -> None:
    def call() -> None:
        with call_span("score") as span:
            span.failed_once("10.0.0.1:7590", NoModelYet("nothing learned"))
            raise NoModelYet("nothing learned")

    with pytest.raises(NoModelYet):
        call()
    seen = only(exported)
    assert seen.events[0].name == "attempt failed"
    assert dict(seen.events[0].attributes or {})["stream_ml.predictor"] == "10.0.0.1:7590"
    assert seen.status.status_code is StatusCode.ERROR


def test_where_nobody_traces_there_is_no_trace_context() -> None:
    assert trace.get_current_span().is_recording() is False
    with call_span("score") as span:
        span.answered(SCORES)
        span.failed_once("10.0.0.1:7590", NoModelYet("nothing learned"))
        assert span.trace_context is None


def test_without_the_extra_calls_are_made_all_the_same() -> None:
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; sys.modules['opentelemetry'] = None\n"
            "from stream_ml.serving import tracing\n"
            "with tracing.call_span('score') as span: print(tracing.trace, span.trace_context)",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "None None\n"
