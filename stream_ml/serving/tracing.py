"""
A span for each call of a client, where OpenTelemetry is installed (`stream-ml[traces]`) and set up.

The call's correlation id is then the span's W3C trace context, unless the caller gives one of its own: a
response, and whatever logs it, leads to the trace.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

try:
    from opentelemetry import trace
except ImportError:  # the extra is not installed
    trace = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from stream_ml.serving.results import Scores

# Of https://www.w3.org/TR/trace-context/; 55 bytes, of the 256 that a correlation id may have.
_VERSION = 0
_SERVICE = "stream_ml.Predictor"


class CallSpan:
    """The span of one call; of none where nobody traces."""

    def __init__(self, span: Span | None) -> None:
        self._span = span if span is not None and span.is_recording() else None

    @property
    def trace_context(self) -> str | None:
        """Return what names the span in other processes, None where nobody traces."""
        if self._span is None:
            return None
        context = self._span.get_span_context()
        return f"{_VERSION:02x}-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def failed_once(self, address: str, error: Exception) -> None:
        """Take notice of an attempt without an answer; another one may follow."""
        if self._span is not None:
            told = {"stream_ml.predictor": address, "stream_ml.problem": f"{type(error).__name__}: {error}"}
            self._span.add_event("attempt failed", told)

    def answered(self, scores: Scores) -> None:
        """Take notice of what the scores were computed from."""
        if self._span is not None:
            self._span.set_attributes(
                {
                    "stream_ml.model": scores.model,
                    "stream_ml.variant": scores.variant,
                    "stream_ml.step": scores.step,
                    "stream_ml.weights_age_seconds": scores.weights_age_seconds,
                    "stream_ml.stale": scores.stale,
                }
            )


@contextmanager
def call_span(function: str, events: int = 0) -> Iterator[CallSpan]:
    """Trace a call of *function* meanwhile; an exception makes it a failed one."""
    if trace is None:
        yield CallSpan(None)
        return
    attributes = {"rpc.system": "thrift", "rpc.service": _SERVICE, "rpc.method": function}
    tracer = trace.get_tracer("stream_ml")
    with tracer.start_as_current_span(
        f"{_SERVICE}/{function}",
        kind=trace.SpanKind.CLIENT,
        attributes={**attributes, "stream_ml.events": events},
    ) as span:
        yield CallSpan(span)
