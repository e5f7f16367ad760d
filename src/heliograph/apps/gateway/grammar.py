# SPDX-License-Identifier: Apache-2.0
"""What a gateway's file may hold: checked by this table, and told by it to readers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from heliograph.catalog.config import HANDLER
from heliograph.catalog.shapes import (
    Choice,
    Either,
    Flag,
    Key,
    ListOf,
    MapOf,
    Number,
    Record,
    ScalarValue,
    Text,
    Whole,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DEFAULT", "GATEWAY", "format_reference"]

_LISTEN: Final = Text("an address to listen at", r"\[?[^\s\[\]]+\]?:[0-9]{1,5}", "127.0.0.1:7200")
_NODE: Final = Text("a name of a node", r"[^\s@]+@[^\s@]+", "g1@127.0.0.1")
_FILE: Final = Text("a path from this file")
_NAME: Final = Text("a name", r"[A-Za-z0-9][A-Za-z0-9_.:/-]*", "boiler-1")
_TAG: Final = Text("a name of an attribute", r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*", "plant.hall")
_SECONDS: Final = Number(above=0, below=86401)

_GROUP: Final = Record(
    "group",
    "Mappings of a device that are read together",
    (
        Key("every", _SECONDS, "Seconds between two readings", default="1"),
        Key("names", ListOf(Text("the name of a mapping"), least=1), "What is read", default="all"),
        Key(
            "dead_bands",
            MapOf(_NAME, Number(above=0)),
            "By how much a value must differ from the one told before to be told",
        ),
    ),
)

_DEVICE: Final = Record(
    "device",
    "One Modbus device, polled by one gateway of the fleet at a time",
    (
        Key(
            "address",
            Text("a URL", r"[a-z+]+://\S+", "tcp://192.168.1.20:502"),
            "Where it is; schemes and options are those of `heliograph modbus`",
            required=True,
        ),
        Key(
            "schema",
            Text("a path or `package.module:Class`"),
            "What it holds: a device file, or a class of yours, which is imported",
            required=True,
        ),
        Key("unit", Whole(0, 255), "Its id behind that address", default="1"),
        Key(
            "groups",
            MapOf(_NAME, _GROUP),
            "What is read how often",
            default="everything each second",
        ),
        Key(
            "tags",
            MapOf(_TAG, ScalarValue()),
            "Attributes of all its values, such as where it stands",
        ),
        Key(
            "attempts",
            Whole(1, 20),
            "How often a request is made before a reading counts as failed",
            default="3",
        ),
        Key(
            "spacing",
            Number(above=0, below=60),
            "Seconds between two requests on its link",
            default="none",
        ),
    ),
)

_TLS: Final = Record(
    "encryption",
    "Certificates of the connections between gateways; both sides always show one",
    (
        Key("certificate", _FILE, "The gateway's certificate", required=True),
        Key("authority", _FILE, "Who certifies the others", required=True),
        Key("key", _FILE, "The gateway's key", default="in the certificate's file"),
        Key("bind_names", Flag(), "Hold peers to the names in their certificates", default="false"),
    ),
)

_CLUSTER: Final = Record(
    "cluster",
    "How gateways find each other; without it a gateway polls all devices",
    (
        Key("name", _NODE, "The gateway's own name, another for each", required=True),
        Key("listen", _LISTEN, "Where it listens for the others", required=True),
        Key("advertise", ListOf(_LISTEN), "Where others reach it", default="where it listens"),
        Key("seeds", MapOf(_NODE, _LISTEN), "Other gateways: their names and addresses"),
        Key("tls", _TLS, "Encryption", default="none, which is for one machine alone"),
        Key("state", _FILE, "A file that keeps the membership over restarts", default="none"),
        Key(
            "settle",
            Number(above=0, below=60),
            "Seconds without change before it takes what has become its own",
            default="0.5",
        ),
        Key(
            "patience",
            Number(above=0, below=600),
            "Seconds after its start before it polls without having met the others",
            default="5",
        ),
    ),
)

_OTLP: Final = Record(
    "export",
    "Where telemetry goes; what is left out is taken from the standard `OTEL_*` variables",
    (
        Key(
            "endpoint",
            Text("a URL", r"(https?://)?\S+", "http://collector:4318"),
            "The collector",
            default="`http://localhost:4318`",
        ),
        Key(
            "protocol",
            Choice("protocol", ("http/protobuf", "grpc")),
            "How",
            default="http/protobuf",
        ),
        Key("headers", MapOf(_NAME, Text()), "Sent with each request"),
        Key("service_name", Text(), "What the service is called", default="heliograph-gateway"),
        Key("metric_interval", _SECONDS, "Seconds between two exports of metrics", default="60"),
        Key("delay", _SECONDS, "Seconds for which spans and log events wait", default="5 and 1"),
    ),
)

GATEWAY: Final = Record(
    "gateway",
    "A gateway of a fleet. All have the same devices; each has a name of its own",
    (
        Key("devices", MapOf(_NAME, _DEVICE), "The devices by name", required=True),
        Key("cluster", _CLUSTER, "How it finds the other gateways", default="it is alone"),
        Key(
            "otlp",
            _OTLP,
            "Where telemetry goes",
            default="nowhere, unless a variable `OTEL_EXPORTER_OTLP_*` is set",
        ),
        Key(
            "handlers",
            Either(_FILE, ListOf(HANDLER)),
            "Functions attached to events while it runs, or a file of them",
            default="none",
        ),
        Key(
            "catalogs",
            ListOf(Text("the name or path of a catalog"), least=1),
            "The catalogs whose events handlers that stand here are attached to",
            default="all installed",
        ),
        Key("health", _LISTEN, "Where it answers `/healthz` and `/readyz`", default="nowhere"),
        Key(
            "prometheus",
            Flag(),
            "Answer `/metrics` there too; needs the extra `prometheus`",
            default="false",
        ),
        Key("stop_within", _SECONDS, "Seconds that stopping may take", default="10"),
    ),
)
"""What a gateway's file may hold."""

DEFAULT: Final = """\
# A gateway of a fleet; `heliograph gateway gateway.yaml` runs it, `--check` looks for faults.

devices:                                  # the same for every gateway of the fleet
  boiler-1:
    address: tcp://192.168.1.20:502
    unit: 1
    schema: boiler.yaml                   # a device file, or package.module:Class
    groups:
      default: {every: 1}                 # seconds; all that can be read
    tags: {plant.hall: north}             # attributes of all its values

cluster:                                  # leave it out for a gateway that is alone
  name: g1@192.168.1.11                   # another for each gateway
  listen: 192.168.1.11:7200
  seeds:
    g2@192.168.1.12: 192.168.1.12:7200

otlp:
  endpoint: http://localhost:4318
  service_name: heliograph-gateway
  metric_interval: 10

health: 127.0.0.1:8080                    # /healthz and /readyz

stop_within: 10                           # seconds
"""
"""A file to begin with."""


def format_reference() -> str:
    """The format as a page of Markdown."""
    return "\n".join(_reference()) + "\n"


def _reference() -> Iterator[str]:
    yield "# The gateway's file"
    yield ""
    yield "`heliograph gateway FILE` is run by a YAML file, in UTF-8 and by the rules of YAML 1.2."
    yield "This page is made from the table by which the gateway checks it. How to write one:"
    yield "[Run a gateway](../how-to/run-a-gateway.md)."
    yield from GATEWAY.tables()
