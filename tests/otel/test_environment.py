# SPDX-License-Identifier: Apache-2.0
"""Arguments and standard variables: what they mean, which wins, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_OFF,
    DEFAULT_ON,
    ParentBasedTraceIdRatio,
    TraceIdRatioBased,
)

from heliograph.otel import ConfigurationError
from heliograph.otel.configuration import Options, Settings, settle


def from_variables(**variables: str) -> Settings:
    return settle(Options(), variables)


def refusal(options: Options | None = None, **variables: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as raised:
        settle(options or Options(), variables)
    return raised.value


class TestDefaults:
    """Nobody says anything."""

    def test_everything_goes_to_the_local_collector(self) -> None:
        settings = from_variables()

        assert {signal: to.endpoint for signal, to in settings.destinations.items()} == {
            "traces": "http://localhost:4318/v1/traces",
            "metrics": "http://localhost:4318/v1/metrics",
            "logs": "http://localhost:4318/v1/logs",
        }
        to = settings.destinations["traces"]
        assert (to.protocol, to.compression, to.timeout) == ("http/protobuf", "none", 10.0)
        assert to.headers == {}

    def test_queues_and_intervals_are_those_of_the_specification(self) -> None:
        queueing = from_variables().queueing

        assert (queueing["traces"].size, queueing["traces"].batch) == (2048, 512)
        assert (queueing["traces"].delay, queueing["logs"].delay) == (5.0, 1.0)
        assert queueing["metrics"].delay == 60.0

    def test_all_is_sampled_and_told_as_totals(self) -> None:
        settings = from_variables()

        assert settings.sampler is DEFAULT_ON
        assert (settings.temporality, settings.exponential_histograms) == ("cumulative", False)
        assert settings.exemplars
        assert settings.span_limits.max_span_attributes == 128
        assert settings.span_limits.max_span_attribute_length is None

    def test_an_empty_variable_is_an_unset_one(self) -> None:
        names = [
            "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_TRACES_SAMPLER",
            "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_SDK_DISABLED",
            "OTEL_EXPORTER_OTLP_CERTIFICATE", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_CONFIG_FILE",
        ]  # fmt: skip
        assert from_variables(**dict.fromkeys(names, " ")).destinations["traces"].timeout == 10.0


class TestEndpoint:
    """Where to."""

    @pytest.mark.parametrize("endpoint", ["https://c:1/in", "https://c:1/in/"])
    def test_that_of_all_signals_gets_their_paths(self, endpoint: str) -> None:
        settings = from_variables(OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)

        assert settings.destinations["logs"].endpoint == "https://c:1/in/v1/logs"
        assert settings.destinations["logs"].secure

    def test_that_of_one_signal_is_taken_as_it_is_and_wins(self) -> None:
        settings = from_variables(
            OTEL_EXPORTER_OTLP_ENDPOINT="http://all:4318",
            OTEL_EXPORTER_OTLP_LOGS_ENDPOINT="http://logs:1/custom",
        )

        assert settings.destinations["logs"].endpoint == "http://logs:1/custom"
        assert settings.destinations["traces"].endpoint == "http://all:4318/v1/traces"

    def test_the_argument_wins_over_both(self) -> None:
        variables = {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://logs:1/custom"}
        settings = settle(Options(endpoint="http://me:1"), variables)

        assert settings.destinations["logs"].endpoint == "http://me:1/v1/logs"

    @pytest.mark.parametrize(
        ("endpoint", "insecure", "expected"),
        [
            (None, "", ("localhost:4317", False)),
            ("http://c:1", "", ("c:1", False)),
            ("https://c:1", "true", ("c:1", True)),
            ("c:1", "", ("c:1", True)),
            ("c:1", "true", ("c:1", False)),
            ("http://c:1/ignored", "", ("c:1", False)),
        ],
    )
    def test_grpc_has_hosts_and_ports(
        self, endpoint: str | None, insecure: str, expected: tuple[str, bool]
    ) -> None:
        settings = settle(
            Options(endpoint=endpoint, protocol="grpc"), {"OTEL_EXPORTER_OTLP_INSECURE": insecure}
        )

        to = settings.destinations["traces"]
        assert (to.endpoint, to.secure) == expected

    @pytest.mark.parametrize(
        "endpoint", ["collector:4318", "ftp://c", "http://", "http://c:port", "http://[::1", "x"]
    )
    def test_what_is_no_url_is_refused(self, endpoint: str) -> None:
        refused = refusal(OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)

        (fault,) = refused.faults
        assert fault.name == "OTEL_EXPORTER_OTLP_ENDPOINT"
        assert repr(endpoint) in str(refused)
        assert "write something like http://collector:4318" in str(refused)

    def test_the_argument_is_checked_too(self) -> None:
        assert refusal(Options(endpoint="nowhere")).faults[0].name == "endpoint"


class TestTransport:
    """How."""

    def test_each_signal_may_have_its_own(self) -> None:
        settings = from_variables(
            OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
            OTEL_EXPORTER_OTLP_METRICS_PROTOCOL="http/protobuf",
            OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
            OTEL_EXPORTER_OTLP_METRICS_COMPRESSION="deflate",
            OTEL_EXPORTER_OTLP_TIMEOUT="2500",
            OTEL_EXPORTER_OTLP_METRICS_TIMEOUT="500",
            OTEL_EXPORTER_OTLP_HEADERS="api-key=a%20b,x=1=2,",
            OTEL_EXPORTER_OTLP_METRICS_HEADERS="m=1",
        )

        traces, metrics = settings.destinations["traces"], settings.destinations["metrics"]
        assert (traces.protocol, metrics.protocol) == ("grpc", "http/protobuf")
        assert (traces.compression, metrics.compression) == ("gzip", "deflate")
        assert (traces.timeout, metrics.timeout) == (2.5, 0.5)
        assert traces.headers == {"api-key": "a b", "x": "1=2"}
        assert metrics.headers == {"m": "1"}

    def test_headers_of_the_arguments_join_those_of_the_environment_and_win(self) -> None:
        settings = settle(
            Options(headers={"X-A": "mine"}), {"OTEL_EXPORTER_OTLP_HEADERS": "x-a=theirs,x-b=2"}
        )

        assert settings.destinations["logs"].headers == {"x-a": "mine", "x-b": "2"}

    def test_certificates_are_files_that_can_be_read(self, tmp_path: Path) -> None:
        certificate = tmp_path / "ca.pem"
        certificate.touch()
        to = from_variables(OTEL_EXPORTER_OTLP_CERTIFICATE=str(certificate)).destinations["logs"]
        assert to.certificate_file == str(certificate)

        missing = str(tmp_path / "none.pem")
        refused = refusal(OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY=missing)
        assert refused.faults[0].name == "OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY"
        assert "No such file" in str(refused)
        assert refusal(Options(certificate_file=missing)).faults[0].name == "certificate_file"

    def test_a_secret_header_is_not_repeated(self) -> None:
        refused = refusal(OTEL_EXPORTER_OTLP_HEADERS="a=1,Bearer s3cret")

        assert "entry, number 2" in str(refused)
        assert "s3cret" not in str(refused)

    def test_a_timeout_in_seconds_is_recognised(self) -> None:
        refused = refusal(OTEL_EXPORTER_OTLP_TIMEOUT="10")

        assert "OTEL_EXPORTER_OTLP_TIMEOUT is '10'" in str(refused)
        assert "write milliseconds, at least 100" in str(refused)

    def test_grpc_does_not_deflate(self) -> None:
        refused = refusal(
            OTEL_EXPORTER_OTLP_PROTOCOL="grpc", OTEL_EXPORTER_OTLP_COMPRESSION="deflate"
        )
        assert "choose gzip or none" in str(refused)
        assert (
            refusal(Options(protocol="grpc", compression="deflate")).faults[0].name == "compression"
        )

    def test_without_grpc_the_error_says_what_to_install(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("heliograph.otel.configuration.find_spec", lambda _name: None)

        refused = refusal(Options(protocol="grpc"))

        assert [fault.name for fault in refused.faults] == ["protocol"]
        assert 'pip install "heliograph[otel-grpc]"' in str(refused)


class TestSignals:
    """What is exported at all."""

    def test_a_signal_can_be_left_out(self) -> None:
        settings = from_variables(OTEL_METRICS_EXPORTER="none", OTEL_LOGS_EXPORTER="otlp")
        assert set(settings.destinations) == {"traces", "logs"}

        settings = settle(Options(signals=["metrics", "logs"]), {"OTEL_LOGS_EXPORTER": "None"})
        assert set(settings.destinations) == {"metrics"}

    def test_the_sdk_can_be_disabled(self) -> None:
        settings = from_variables(OTEL_SDK_DISABLED="TRUE", OTEL_CONFIG_FILE="x.yaml")
        assert settings.disabled
        assert settings.destinations == {}
        assert not from_variables(OTEL_SDK_DISABLED="false").disabled

    def test_other_exporters_are_for_given_providers(self) -> None:
        refused = refusal(OTEL_TRACES_EXPORTER="console")
        assert "give providers of your own to instrument()" in str(refused)

    def test_a_configuration_file_is_not_ignored_in_silence(self) -> None:
        assert refusal(OTEL_CONFIG_FILE="otel.yaml").faults[0].name == "OTEL_CONFIG_FILE"

    @pytest.mark.parametrize("signals", ["traces", ["spans"]])
    def test_a_signal_that_is_none_is_refused(self, signals: Any) -> None:
        assert refusal(Options(signals=signals)).faults[0].name == "signals"


class TestSampler:
    """What is recorded."""

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("always_on", ALWAYS_ON),
            ("ALWAYS_OFF", ALWAYS_OFF),
            ("parentbased_always_on", DEFAULT_ON),
            ("parentbased_always_off", DEFAULT_OFF),
        ],
    )
    def test_by_name(self, name: str, expected: object) -> None:
        assert from_variables(OTEL_TRACES_SAMPLER=name).sampler is expected
        assert settle(Options(sampler=name), {}).sampler is expected

    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("traceidratio", TraceIdRatioBased),
            ("parentbased_traceidratio", ParentBasedTraceIdRatio),
        ],
    )
    def test_by_ratio(self, name: str, kind: type) -> None:
        sampler = from_variables(OTEL_TRACES_SAMPLER=name, OTEL_TRACES_SAMPLER_ARG="0.25").sampler

        assert isinstance(sampler, kind)
        assert "0.25" in sampler.get_description()
        assert "1.0" in from_variables(OTEL_TRACES_SAMPLER=name).sampler.get_description()

    def test_one_of_the_application(self) -> None:
        mine = TraceIdRatioBased(0.5)
        assert settle(Options(sampler=mine), {"OTEL_TRACES_SAMPLER": "?"}).sampler is mine

    def test_an_unknown_one_is_refused(self) -> None:
        assert "choose from always_on" in str(refusal(OTEL_TRACES_SAMPLER="sometimes"))

    @pytest.mark.parametrize("ratio", ["1.5", "-1", "half", "nan"])
    def test_a_ratio_beyond_its_range_is_refused(self, ratio: str) -> None:
        refused = refusal(OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG=ratio)
        assert "write a number between 0 and 1" in str(refused)


class TestMetrics:
    """How numbers are told."""

    @pytest.mark.parametrize(
        ("preference", "expected"),
        [("cumulative", "cumulative"), ("Delta", "delta"), ("lowmemory", "delta")],
    )
    def test_temporality(self, preference: str, expected: str) -> None:
        name = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
        assert from_variables(**{name: preference}).temporality == expected
        assert settle(Options(temporality="cumulative"), {name: preference}).temporality == (
            "cumulative"
        )

    def test_histogram_aggregation(self) -> None:
        variables = {
            "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": (
                "base2_exponential_bucket_histogram"
            )
        }
        assert from_variables(**variables).exponential_histograms
        settings = settle(Options(exponential_histograms=False), variables)
        assert not settings.exponential_histograms

    def test_interval_and_exemplars(self) -> None:
        settings = from_variables(
            OTEL_METRIC_EXPORT_INTERVAL="5000", OTEL_METRICS_EXEMPLAR_FILTER="always_off"
        )
        assert settings.queueing["metrics"].delay == 5.0
        assert not settings.exemplars


class TestLimits:
    """How much."""

    def test_queues(self) -> None:
        settings = from_variables(
            OTEL_BSP_MAX_QUEUE_SIZE="100",
            OTEL_BSP_MAX_EXPORT_BATCH_SIZE="200",
            OTEL_BSP_SCHEDULE_DELAY="50",
            OTEL_BLRP_MAX_QUEUE_SIZE="7",
        )
        traces, logs = settings.queueing["traces"], settings.queueing["logs"]
        assert (traces.size, traces.batch, traces.delay) == (100, 100, 0.05)
        assert (logs.size, logs.batch) == (7, 7)

    def test_attributes(self) -> None:
        settings = from_variables(
            OTEL_ATTRIBUTE_COUNT_LIMIT="9",
            OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT="5",
            OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT="100",
            OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT="30",
            OTEL_SPAN_EVENT_COUNT_LIMIT="0",
        )
        assert settings.span_limits.max_span_attributes == 5
        assert settings.span_limits.max_event_attributes == 9
        assert settings.span_limits.max_events == 0
        assert settings.span_limits.max_span_attribute_length == 100
        assert settings.log_limits.max_log_record_attributes == 9
        assert settings.value_lengths == {"traces": 100, "logs": 30}


class TestResource:
    """Who."""

    def test_service_and_attributes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,a=b%20c")
        attributes = settle(Options(resource_attributes={"a": 1})).resource.attributes

        assert attributes["service.name"] == "shop"
        assert attributes["deployment.environment.name"] == "test"
        assert attributes["a"] == 1
        assert attributes["telemetry.sdk.language"] == "python"
        named = settle(Options(service_name="mine")).resource.attributes
        assert named["service.name"] == "mine"

    def test_a_malformed_attribute_is_refused(self) -> None:
        refused = refusal(OTEL_RESOURCE_ATTRIBUTES="a=1,oops")
        assert "number 2, 'oops', that is no key=value" in str(refused)


@pytest.mark.parametrize(
    ("name", "value", "mend"),
    [
        ("OTEL_SDK_DISABLED", "yes", "write true or false"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "choose from http/protobuf, grpc"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zip", "choose from none, gzip, deflate"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon", "write milliseconds"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "inf", "write milliseconds"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "write a whole number of at least 1"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "many", "write a whole number of at least 1"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "-5", "write milliseconds"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "1m", "write milliseconds"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "-1", "write a whole number of at least 0"),
        ("OTEL_METRICS_EXEMPLAR_FILTER", "always_on", "choose from trace_based, always_off"),
        (
            "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
            "linear",
            "choose from explicit_bucket_histogram",
        ),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "x", "choose from cumulative"),
    ],
)
def test_an_invalid_variable_is_named_with_its_value_and_the_mend(
    name: str, value: str, mend: str
) -> None:
    refused = refusal(None, **{name: value})

    (fault,) = refused.faults
    assert fault.name == name
    assert repr(value) in str(refused)
    assert mend in fault.mend


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("protocol", "http/json"),
        ("compression", "zip"),
        ("timeout", 0),
        ("timeout", "10"),
        ("temporality", "both"),
        ("queue_size", 0),
        ("queue_size", 1.5),
        ("batch_size", True),
        ("delay", -1),
        ("metric_interval", float("inf")),
        ("headers", {"a": 1}),
        ("sampler", "sometimes"),
    ],
)
def test_an_invalid_argument_is_named_with_its_value(argument: str, value: Any) -> None:
    refused = refusal(Options(**{argument: value}))

    assert {fault.name for fault in refused.faults} == {argument}


def test_all_faults_are_told_at_once() -> None:
    refused = refusal(
        Options(timeout=-1), OTEL_TRACES_SAMPLER="?", OTEL_EXPORTER_OTLP_ENDPOINT="ftp://x"
    )

    assert {fault.name for fault in refused.faults} == {
        "timeout",
        "OTEL_TRACES_SAMPLER",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    }
    assert str(refused).startswith("3 faults in the configuration\n")


VARIABLES = [
    "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG", "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_METRIC_EXPORT_INTERVAL", "OTEL_SDK_DISABLED",
]  # fmt: skip


@given(st.dictionaries(st.sampled_from(VARIABLES), st.text(max_size=12)))
def test_any_environment_is_understood_or_refused(variables: dict[str, str]) -> None:
    try:
        settle(Options(), variables)
    except ConfigurationError as refused:
        assert {fault.name for fault in refused.faults} <= set(variables)  # noqa: PT017 - either
