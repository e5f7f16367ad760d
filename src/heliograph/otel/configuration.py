# SPDX-License-Identifier: Apache-2.0
"""What `configure` sets up: its arguments and the standard variables, checked and put together.

Arguments win over variables, and a variable of one signal over that of all. Nothing is guessed:
what can't be used is an error that names it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

from opentelemetry.sdk._logs import LogRecordLimits
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, Resource
from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_OFF,
    DEFAULT_ON,
    ParentBasedTraceIdRatio,
    Sampler,
    TraceIdRatioBased,
)

from heliograph.otel.environment import ConfigurationError, Environment
from heliograph.otel.resource import ProcessResource

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from heliograph.metrics.points import Temporality

__all__ = [
    "SIGNALS",
    "Compression",
    "Destination",
    "Options",
    "Protocol",
    "Queueing",
    "Settings",
    "Signal",
    "check_signals",
    "settle",
]

Signal: TypeAlias = Literal["traces", "metrics", "logs"]
Protocol: TypeAlias = Literal["http/protobuf", "grpc"]
Compression: TypeAlias = Literal["none", "gzip", "deflate"]

SIGNALS: Final[tuple[Signal, ...]] = get_args(Signal)
_PORTS: Final[Mapping[Protocol, int]] = {"http/protobuf": 4318, "grpc": 4317}
_SAMPLERS: Final[Mapping[str, Sampler]] = {
    "always_on": ALWAYS_ON,
    "always_off": ALWAYS_OFF,
    "parentbased_always_on": DEFAULT_ON,
    "parentbased_always_off": DEFAULT_OFF,
}
_RATIO_SAMPLERS: Final = {
    "traceidratio": TraceIdRatioBased,
    "parentbased_traceidratio": ParentBasedTraceIdRatio,
}
# Milliseconds by the specification, seconds in OpenTelemetry's own Python exporters: whoever writes
# 10 for 10 seconds has to learn it here, and not from exports that all fail.
_LEAST_TIMEOUT: Final = 0.1
# The specification's default for every limit of a number.
_MOST: Final = 128


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the data of one signal go, and how."""

    endpoint: str
    """HTTP: the whole URL. gRPC: `host:port`."""
    protocol: Protocol
    headers: Mapping[str, str]
    compression: Compression
    timeout: float
    """Seconds for one attempt."""
    secure: bool
    certificate_file: str | None
    client_key_file: str | None
    client_certificate_file: str | None


@dataclass(frozen=True, slots=True)
class Queueing:
    """How much of one signal is kept, and how often it is sent.

    Attributes:
        size: Items that may wait; further ones are dropped, and counted.
        batch: Items sent at once.
        delay: Seconds between two exports; of metrics, between two collections.
    """

    size: int
    batch: int
    delay: float


# The specification's defaults for batch processors; for metrics its export interval.
_QUEUEING: Final[Mapping[Signal, Queueing]] = {
    "traces": Queueing(2048, 512, 5.0),
    "logs": Queueing(2048, 512, 1.0),
    # A batch of points stays well within the 4 MiB that gRPC servers take by default.
    "metrics": Queueing(0, 4000, 60.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The arguments of `configure` that variables can stand in for; see there."""

    endpoint: str | None = None
    protocol: Protocol | None = None
    headers: Mapping[str, str] | None = None
    compression: Compression | None = None
    timeout: float | None = None
    certificate_file: str | None = None
    client_key_file: str | None = None
    client_certificate_file: str | None = None
    service_name: str | None = None
    resource_attributes: Mapping[str, Any] | None = None
    sampler: Sampler | str | None = None
    temporality: Temporality | None = None
    exponential_histograms: bool | None = None
    metric_interval: float | None = None
    queue_size: int | None = None
    batch_size: int | None = None
    delay: float | None = None
    signals: Collection[Signal] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the pipeline has to know."""

    disabled: bool
    destinations: Mapping[Signal, Destination]
    """One for each signal that is exported."""
    queueing: Mapping[Signal, Queueing]
    resource: ProcessResource
    sampler: Sampler
    span_limits: SpanLimits
    log_limits: LogRecordLimits
    value_lengths: Mapping[Signal, int | None]
    """The longest attribute values of spans and log events; None if nobody said."""
    temporality: Temporality
    exponential_histograms: bool
    exemplars: bool


def settle(options: Options, variables: Mapping[str, str] | None = None) -> Settings:
    """Put arguments and variables together.

    Args:
        options: The arguments.
        variables: The environment; the process's own if None.

    Raises:
        ConfigurationError: Something can't be used; every fault is named.
    """
    env = Environment(variables)
    disabled = bool(env.flag("OTEL_SDK_DISABLED"))
    if env.text("OTEL_CONFIG_FILE") is not None and not disabled:
        env.fault(
            "OTEL_CONFIG_FILE",
            "is set, and configure() does not read such files",
            "unset it, or give the providers that are made from it to instrument()",
        )
    signals = _signals(options, env)
    destinations: dict[Signal, Destination] = {
        signal: _destination(signal, options, env) for signal in signals
    }
    if disabled:
        destinations.clear()
    span_limits, log_limits, value_lengths = _limits(env)
    metric_words = ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",)
    # Our instruments are all synchronous, for which lowmemory is delta.
    preference = env.choice(("cumulative", "delta", "lowmemory"), *metric_words)
    aggregation = env.choice(
        ("explicit_bucket_histogram", "base2_exponential_bucket_histogram"),
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
    )
    exemplars = env.choice(("trace_based", "always_off"), "OTEL_METRICS_EXEMPLAR_FILTER")
    _check_choice(env, "temporality", options.temporality, ("cumulative", "delta"))
    exponential = options.exponential_histograms
    settings = Settings(
        disabled=disabled,
        destinations=destinations,
        queueing={signal: _queueing(signal, options, env) for signal in SIGNALS},
        resource=_resource(options, env),
        sampler=_sampler(options, env),
        span_limits=span_limits,
        log_limits=log_limits,
        value_lengths=value_lengths,
        temporality=options.temporality
        or ("cumulative" if preference in {None, "cumulative"} else "delta"),
        exponential_histograms=aggregation == "base2_exponential_bucket_histogram"
        if exponential is None
        else exponential,
        exemplars=exemplars != "always_off",
    )
    if env.faults:
        raise ConfigurationError(list(dict.fromkeys(env.faults)))
    return settings


# -- Which signals, and where to -------------------------------------------------------------------


def check_signals(signals: Collection[str], env: Environment) -> None:
    """Note a signal that is none."""
    if isinstance(signals, str) or not set(signals) <= set(SIGNALS):
        env.fault(
            "signals", f"is {signals!r}", f"give a collection of some of {', '.join(SIGNALS)}"
        )


def _signals(options: Options, env: Environment) -> tuple[Signal, ...]:
    chosen: Collection[Signal] = SIGNALS
    if options.signals is not None:
        check_signals(options.signals, env)
        chosen = options.signals
    found: list[Signal] = []
    for signal in SIGNALS:
        name = f"OTEL_{signal.upper()}_EXPORTER"
        exporter = (env.text(name) or "otlp").lower()
        if exporter not in {"otlp", "otlp_proto_http", "otlp_proto_grpc", "none"}:
            env.fault(
                name,
                f"is {exporter!r}, and configure() exports by OTLP",
                "write otlp or none, or give providers of your own to instrument()",
            )
        if exporter != "none" and signal in chosen:
            found.append(signal)
    return tuple(found)


def _destination(signal: Signal, options: Options, env: Environment) -> Destination:
    def names(what: str) -> tuple[str, str]:
        upper = signal.upper()
        return f"OTEL_EXPORTER_OTLP_{upper}_{what}", f"OTEL_EXPORTER_OTLP_{what}"

    protocol = _protocol(options, env, names("PROTOCOL"))
    compression: Any = options.compression or env.choice(
        get_args(Compression), *names("COMPRESSION")
    )
    _check_choice(env, "compression", options.compression, get_args(Compression))
    if protocol == "grpc" and compression == "deflate":
        where = "compression" if options.compression else env.first(*names("COMPRESSION"))[0]
        env.fault(where, "is 'deflate', which gRPC does not have here", "choose gzip or none")
    timeout = options.timeout or env.seconds(*names("TIMEOUT"), least=_LEAST_TIMEOUT)
    _check_number(env, "timeout", options.timeout, "seconds")
    endpoint, secure = _endpoint(signal, protocol, options, env)
    return Destination(
        endpoint=endpoint,
        protocol=protocol,
        headers={**env.pairs(*names("HEADERS"), secret=True), **_headers(options, env)},
        compression=compression or "none",
        timeout=timeout or 10.0,
        secure=secure,
        certificate_file=_file("certificate_file", options, env, names("CERTIFICATE")),
        client_key_file=_file("client_key_file", options, env, names("CLIENT_KEY")),
        client_certificate_file=_file(
            "client_certificate_file", options, env, names("CLIENT_CERTIFICATE")
        ),
    )


def _protocol(options: Options, env: Environment, names: tuple[str, str]) -> Protocol:
    allowed = get_args(Protocol)
    _check_choice(env, "protocol", options.protocol, allowed)
    found: Any = options.protocol or env.choice(allowed, *names) or "http/protobuf"
    if found == "grpc" and find_spec("grpc") is None:
        where = "protocol" if options.protocol else env.first(*names)[0]
        env.fault(
            where,
            "is 'grpc', and gRPC is not installed",
            'run pip install "heliograph[otel-grpc]", or choose http/protobuf',
        )
    return "grpc" if found == "grpc" else "http/protobuf"


def _endpoint(
    signal: Signal, protocol: Protocol, options: Options, env: Environment
) -> tuple[str, bool]:
    own, common = (
        f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    )
    name, url = ("endpoint", options.endpoint)
    if url is None:
        name, url = env.first(own, common)
    if url is None:
        url = f"http://localhost:{_PORTS[protocol]}"
    env.check_url(name, url, scheme_needed=protocol != "grpc")
    if protocol != "grpc":
        # A signal's own endpoint is the whole of it, that of all signals gets their paths.
        whole = url if name == own else f"{url.rstrip('/')}/v1/{signal}"
        return whole, url.startswith("https:")
    scheme, separator, rest = url.partition("://")
    if separator:
        return rest.partition("/")[0], scheme == "https"
    insecure = env.flag(
        f"OTEL_EXPORTER_OTLP_{signal.upper()}_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE"
    )
    return url, not insecure


def _headers(options: Options, env: Environment) -> Mapping[str, str]:
    given: Mapping[Any, Any] = options.headers or {}
    for key, value in given.items():
        if not isinstance(key, str) or not isinstance(value, str):
            env.fault("headers", f"has an entry {key!r} that is no text", "give names and texts")
    return {str(key).lower(): value for key, value in given.items()}


def _file(name: str, options: Options, env: Environment, names: tuple[str, str]) -> str | None:
    given: str | None = getattr(options, name)
    if given is None:
        return env.file(*names)
    env.check_file(name, given)
    return given


# -- How much, how often ---------------------------------------------------------------------------


def _queueing(signal: Signal, options: Options, env: Environment) -> Queueing:
    for name in ("queue_size", "batch_size"):
        _check_number(env, name, getattr(options, name), "items", whole=True)
    _check_number(env, "delay", options.delay, "seconds")
    _check_number(env, "metric_interval", options.metric_interval, "seconds")
    found = _QUEUEING[signal]
    if signal == "metrics":
        interval = options.metric_interval or env.seconds("OTEL_METRIC_EXPORT_INTERVAL")
        return replace(found, delay=interval or found.delay)
    prefix = "OTEL_BSP_" if signal == "traces" else "OTEL_BLRP_"
    size = options.queue_size or env.whole(f"{prefix}MAX_QUEUE_SIZE") or found.size
    batch = options.batch_size or env.whole(f"{prefix}MAX_EXPORT_BATCH_SIZE") or found.batch
    delay = options.delay or env.seconds(f"{prefix}SCHEDULE_DELAY") or found.delay
    return Queueing(size, min(batch, size), delay)


# -- Who sends, and what of it ---------------------------------------------------------------------


def _resource(options: Options, env: Environment) -> ProcessResource:
    attributes = dict(options.resource_attributes or {})
    if options.service_name is not None:
        attributes[SERVICE_NAME] = options.service_name
    from_environment = env.pairs("OTEL_RESOURCE_ATTRIBUTES")
    fixed = {SERVICE_INSTANCE_ID} & (attributes.keys() | from_environment.keys())
    # The SDK reads the variables itself; where they are at fault, it would only log.
    base = Resource.create(attributes) if not env.faults else Resource(attributes)
    return ProcessResource(base, frozenset(fixed))


def _sampler(options: Options, env: Environment) -> Sampler:
    if isinstance(options.sampler, Sampler):
        return options.sampler
    name, word = "sampler", options.sampler
    if word is None:
        name, word = env.first("OTEL_TRACES_SAMPLER")
    if word is None:
        return DEFAULT_ON
    known = _SAMPLERS.get(word.lower())
    if known is not None:
        return known
    if word.lower() in _RATIO_SAMPLERS:
        ratio = env.ratio("OTEL_TRACES_SAMPLER_ARG")
        return _RATIO_SAMPLERS[word.lower()](1.0 if ratio is None else ratio)
    # Where the SDK too finds samplers of other packages.
    for each in entry_points(group="opentelemetry_traces_sampler", name=word):
        try:
            made = each.load()(env.text("OTEL_TRACES_SAMPLER_ARG") or "")
        except Exception as failure:  # noqa: BLE001 - whatever the package's factory raises
            env.fault(name, f"is {word!r}, whose factory raised {failure!r}", "mend its argument")
            return DEFAULT_ON
        if isinstance(made, Sampler):
            return made
    choices = ", ".join([*_SAMPLERS, *_RATIO_SAMPLERS])
    env.fault(name, f"is {word!r}, which is no sampler", f"choose from {choices}")
    return DEFAULT_ON


def _limits(
    env: Environment,
) -> tuple[SpanLimits, LogRecordLimits, Mapping[Signal, int | None]]:
    def most(*names: str) -> int:
        found = env.whole(*names, least=0)
        return _MOST if found is None else found

    def longest(*names: str) -> int | None:
        return env.whole(*names)

    # The SDK's classes would read the variables themselves, and take an empty one for a fault.
    count, length = "OTEL_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"
    lengths: dict[Signal, int | None] = {
        "traces": longest("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", length),
        "logs": longest("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", length),
    }
    unset = SpanLimits.UNSET
    span_limits = SpanLimits(
        max_attributes=most(count),
        max_events=most("OTEL_SPAN_EVENT_COUNT_LIMIT"),
        max_links=most("OTEL_SPAN_LINK_COUNT_LIMIT"),
        max_span_attributes=most("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", count),
        max_event_attributes=most("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", count),
        max_link_attributes=most("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", count),
        max_attribute_length=longest(length) or unset,
        max_span_attribute_length=lengths["traces"] or unset,
    )
    log_limits = LogRecordLimits(
        max_attributes=most(count),
        max_attribute_length=longest(length) or unset,
        max_log_record_attributes=most("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", count),
        max_log_record_attribute_length=lengths["logs"] or unset,
    )
    return span_limits, log_limits, lengths


# -- Arguments -------------------------------------------------------------------------------------


def _check_choice(env: Environment, name: str, value: object, allowed: Collection[str]) -> None:
    if value is not None and value not in allowed:
        env.fault(name, f"is {value!r}", f"choose from {', '.join(allowed)}")


def _check_number(
    env: Environment, name: str, value: object, of: str, *, whole: bool = False
) -> None:
    kinds = (int,) if whole else (int, float)
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, kinds) or not 0 < value < math.inf:
        kind = "a whole number" if whole else "a number"
        env.fault(name, f"is {value!r}", f"give {kind} of {of} above 0")
