# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from heliograph.apps.collect import (
    Batch,
    ExponentialPoint,
    HistogramPoint,
    MalformedError,
    NumberPoint,
    Scope,
    Source,
    Span,
    SpanEvent,
    SpanLink,
    SummaryPoint,
    decode,
)
from heliograph.apps.collect.decoding import Encoding, accepted
from heliograph.apps.collect.model import Signal
from tests.apps.collect.samples import TRACE, logs_request, metrics_request, traces_request


def otlp_json(request: Message) -> bytes:
    """The request as OTLP has it in JSON: ids as hexadecimal digits."""
    document = json_format.MessageToDict(request)

    def mend(value: Any) -> Any:
        if isinstance(value, list):
            return [mend(each) for each in value]
        if isinstance(value, dict):
            return {
                key: base64.b64decode(each).hex()
                if key in {"traceId", "spanId", "parentSpanId"}
                else mend(each)
                for key, each in value.items()
            }
        return value

    return json.dumps(mend(document)).encode()


def both(signal: Signal, request: Message) -> Batch:
    """What is decoded, the same from both encodings."""
    batch = decode(signal, request.SerializeToString(), "protobuf")
    assert decode(signal, otlp_json(request), "json") == batch
    return batch


def test_a_span_with_everything() -> None:
    expected = Span(
        source=Source(
            {"service.name": "shop"},
            "https://resource.example/1",
            Scope("shop", "1.0.0", "https://shop.example/1", {"plan": True}),
        ),
        trace_id=TRACE,
        span_id="b7ad6b7169203331",
        parent_id="00f067aa0ba902b7",
        name="checkout",
        kind="server",
        start=1_000,
        end=5_000,
        status="error",
        status_message="no money",
        attributes={
            "string": "text",
            "int": -5,
            "double": 0.5,
            "bytes": b"\x00\xff",
            "array": [1, False],
            "map": {"deep": 2},
            "nothing": None,
        },
        events=(SpanEvent(2_000, "retry", {"attempt": 2}),),
        links=(SpanLink(TRACE, "00f067aa0ba902b7", {}),),
        trace_state="vendor=1",
        flags=257,
    )

    assert both("traces", traces_request()) == Batch(spans=(expected,))
    assert expected.duration == 4_000
    assert expected.source.service == "shop"


def test_metrics_of_every_kind() -> None:
    batch = both("metrics", metrics_request())

    assert [(each.name, each.kind, each.temporality, each.monotonic) for each in batch.metrics] == [
        ("gauge", "gauge", None, None),
        ("sum", "sum", "delta", True),
        ("histogram", "histogram", "cumulative", None),
        ("exponential", "exponential_histogram", "unspecified", None),
        ("summary", "summary", None, None),
    ]
    assert [each.points for each in batch.metrics] == [
        (NumberPoint({}, 0, 2, 20.5), NumberPoint({}, 0, 0, None)),
        (NumberPoint({}, 1, 2, 3),),
        (
            HistogramPoint({}, 0, 0, 3, 6.0, 1.0, 3.0, (2.0,), (1, 2)),
            HistogramPoint({}, 0, 0, 1, None, None, None, (), ()),
        ),
        (
            ExponentialPoint({}, 0, 0, 3, 1.0, -1.0, 2.0, 1, 1, 2, (1,), -1, (1,)),
            ExponentialPoint({}, 0, 0, 0, None, None, None, 0, 0, 0, (), 0, ()),
        ),
        (SummaryPoint({}, 0, 0, 2, 3.0, ((0.5, 1.5),)),),
    ]
    assert (batch.metrics[0].unit, batch.metrics[0].description) == ("Cel", "Heat")


def test_a_log_event_whose_span_id_is_all_zeros_has_none() -> None:
    (log,) = both("logs", logs_request()).logs

    assert (log.event_name, log.body, log.attributes) == (
        "shop.order.placed",
        "placed",
        {"count": 3},
    )
    assert (log.time, log.observed, log.severity, log.severity_text) == (1, 2, 13, "WARN")
    assert (log.trace_id, log.span_id) == (TRACE, None)
    assert log.source.service == ""


def test_a_service_name_of_another_type_is_told_as_text() -> None:
    assert Source({"service.name": 5}, "", Scope("", "", "", {})).service == "5"


def test_a_kind_that_is_not_known_is_unspecified() -> None:
    request = traces_request()
    request.resource_spans[0].scope_spans[0].spans[0].kind = 77  # type: ignore[assignment]  # that is the point

    (span,) = decode("traces", request.SerializeToString(), "protobuf").spans

    assert span.kind == "unspecified"


def test_json_may_have_keys_and_names_of_its_time() -> None:
    document = {
        "resourceSpans": [
            {"scopeSpans": [{"spans": [{"kind": "SPAN_KIND_CLIENT", "spanId": "0A", "newer": {}}]}]}
        ]
    }

    (span,) = decode("traces", json.dumps(document).encode(), "json").spans

    assert (span.kind, span.span_id) == ("client", "0a")


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
def test_nothing_is_a_request_too(encoding: Encoding) -> None:
    assert decode("traces", b"{}" if encoding == "json" else b"", encoding) == Batch()


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"\xff\xff\xff", "protobuf"),
        (b"{}", "protobuf"),
        (b"", "json"),
        (b"[]", "json"),
        (b"null", "json"),
        (b'{"resourceSpans": 5}', "json"),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "xyz"}]}]}]}', "json"),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "\\ud800"}]}]}]}', "json"),
        (b"\xff", "json"),
        (b"[" * 100_000, "json"),
        (b'{"a":' * 100_000, "json"),
    ],
)
def test_what_is_no_request_is_refused(body: bytes, encoding: Encoding) -> None:
    with pytest.raises(MalformedError, match=f"no ExportTraceServiceRequest in {encoding}: "):
        decode("traces", body, encoding)


@given(st.binary(max_size=200), st.sampled_from(["traces", "metrics", "logs"]))
def test_any_octets_are_decoded_or_refused(body: bytes, signal: Signal) -> None:
    for encoding in ("protobuf", "json"):
        with contextlib.suppress(MalformedError):
            assert isinstance(decode(signal, body, encoding), Batch)


def test_the_answer_that_all_was_taken_is_empty() -> None:
    assert accepted("logs", "protobuf") == b""
    assert accepted("logs", "json") == b"{}"
