# SPDX-License-Identifier: Apache-2.0
"""A gateway's file: what it may hold, and every fault with its place."""

from __future__ import annotations

import os
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from heliograph import Telemetry
from heliograph.apps.gateway import DEFAULT, GATEWAY, GatewayConfig, Group, format_reference, load
from heliograph.apps.gateway.exporting import check_export, is_exported, settings
from heliograph.catalog import ConfigError

ROOT = Path(__file__).parents[3]
BOILER = """\
schema: Boiler
input_registers:
  flow_temp: {address: 0, codec: int16, scale: 0.1, unit: Cel, alarm_above: 75}
  return_temp: {address: 1, codec: int16, scale: 0.1, unit: Cel}
"""

DEVICE = "devices:\n  a: {{address: tcp://h, schema: boiler.yaml, groups: {{g: {{{}}}}}}}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("boiler.yaml").write_text(BOILER)
    return tmp_path


def read(text: str) -> GatewayConfig:
    Path("gateway.yaml").write_text(text)
    return load("gateway.yaml")


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(text)
    return [str(fault) for fault in caught.value.faults]


def test_the_file_to_begin_with_is_sound(folder: Path) -> None:
    config = read(DEFAULT)

    assert list(config.devices) == ["boiler-1"]
    assert config.devices["boiler-1"].schema.schema_name == "Boiler"
    assert config.cluster is not None
    assert config.cluster.seeds == {"g2@192.168.1.12": "192.168.1.12:7200"}
    assert config.otlp is not None
    assert config.otlp.metric_interval == 10
    assert config.health == "127.0.0.1:8080"


def test_the_schema_for_editors_takes_what_is_taken_here(folder: Path) -> None:
    jsonschema.validate(yaml.safe_load(DEFAULT), GATEWAY.schema())


def test_a_device_needs_little(folder: Path) -> None:
    config = read("devices: {a: {address: 'tcp://127.0.0.1', schema: boiler.yaml}}")

    device = config.devices["a"]
    assert (device.unit, device.attempts, device.groups) == (1, 3, (Group("default", None, 1.0),))
    assert (config.cluster, config.otlp, config.health, config.handlers) == (None,) * 4


def test_groups_have_names_intervals_and_dead_bands(folder: Path) -> None:
    config = read("""\
devices:
  a:
    address: tcp://127.0.0.1
    schema: boiler.yaml
    groups:
      fast: {every: 0.5, names: [flow_temp], dead_bands: {flow_temp: 0.2}}
      slow: {every: 60, names: [return_temp]}
""")

    assert config.devices["a"].groups == (
        Group("fast", ("flow_temp",), 0.5, {"flow_temp": 0.2}),
        Group("slow", ("return_temp",), 60),
    )


def test_an_export_is_what_the_file_says_and_else_what_variables_say(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    assert not is_exported(read("devices: {}"))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://other:1/v1/traces")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "tenant=a,key=old")
    assert is_exported(read("devices: {}"))
    assert settings(read("devices: {}")).destinations["traces"].endpoint.startswith("http://other")

    found = settings(
        read("""\
devices: {}
otlp: {endpoint: "collector:4317", protocol: grpc, headers: {key: new}, metric_interval: 7}
""")
    )

    assert {each.protocol for each in found.destinations.values()} == {"grpc"}
    assert {each.endpoint for each in found.destinations.values()} == {"collector:4317"}
    assert found.destinations["logs"].headers == {"tenant": "a", "key": "new"}
    assert found.queueing["metrics"].delay == 7
    assert found.resource.attributes["service.name"] == "heliograph-gateway"


def test_what_cannot_be_exported_is_told(folder: Path) -> None:
    config = read("devices: {}\notlp:\n  endpoint: ftp://collector")

    with pytest.raises(ConfigError, match=r"gateway.yaml:2:1: .*ftp"):
        check_export(config)


def test_a_schema_may_be_a_class(folder: Path) -> None:
    (folder / "plant_of_gateway.py").write_text(
        "from heliograph.modboss import Schema, coil\n\nclass Pump(Schema):\n    on = coil(1)\n"
    )

    config = read("devices: {a: {address: tcp://h, schema: 'plant_of_gateway:Pump'}}")

    assert list(config.devices["a"].schema.mappings) == ["on"]


def test_handlers_may_stand_in_the_file(folder: Path) -> None:
    (folder / "watch_of_gateway.py").write_text("def note(*_):\n    pass\n")

    config = read("""\
devices: {}
catalogs: [gateway]
handlers:
  - id: alarms
    events: gateway.alarm.*
    handler: "watch_of_gateway:note"
    config: {loud: true}
""")

    assert config.handlers is not None
    with config.handlers.attach(Telemetry()) as attached:
        assert attached.events == {"alarms": ("gateway.alarm.raised", "gateway.alarm.cleared")}


def test_devices_have_tags(folder: Path) -> None:
    config = read("""\
devices:
  a: {address: tcp://h, schema: boiler.yaml, tags: {plant.hall: north, line: 3, spare: true}}
  b: {address: tcp://h, schema: boiler.yaml, tags: {line: 4}}
""")

    assert config.devices["a"].tags == {"plant.hall": "north", "line": "3", "spare": "true"}
    assert config.tags == ("line", "plant.hall", "spare")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "gateway.yaml:1:1: the file is empty; write 'key: value' lines"),
        (
            "cluster: {name: g1@a, listen: 'a:1'}",
            "gateway.yaml:1:1: missing 'devices'; add devices",
        ),
        ("devices: {}\nclutser: {}", "unknown key 'clutser'; did you mean 'cluster'?"),
        (
            "devices: {a: {address: tcp://h, schema: boiler.yaml, unti: 3}}",
            "unknown key 'unti' in devices.a; did you mean 'unit'?",
        ),
        (
            "devices:\n  a: {address: ftp://h, schema: boiler.yaml}",
            "gateway.yaml:2:7: transport 'ftp://h'",
        ),
        (
            "devices:\n  a: {address: tcp://h, schema: none.yaml}",
            "gateway.yaml:2:25: none.yaml:1: cannot be read: No such file or directory",
        ),
        ("devices:\n  a: {address: tcp://h, schema: 'os:path'}", "is no schema; derive it from"),
        ("devices:\n  a: {address: tcp://h, schema: 'nope:Pump'}", "No module named 'nope'"),
        ("devices:\n  a: {address: tcp://h, schema: 'os:Pump'}", "has no attribute 'Pump'"),
        (
            DEVICE.format("names: [flow]"),
            "Boiler has no 'flow' to be read here",
        ),
        (
            DEVICE.format("dead_bands: {x: 9}"),
            "Boiler has no 'x' to be read here",
        ),
        ("devices: {}\nhealth: '127.0.0.1:70000'", "70000 is no port in health; ports go from 0"),
        (
            "devices: {}\ncluster: {name: g1@a, listen: 'a:1', seeds: {g2@a: 'a:70000'}}",
            "gateway.yaml:2:46: 70000 is no port in cluster.seeds.g2@a; ports go from 1 to 65535",
        ),
        (
            "devices: {}\ncluster: {name: g1@a, listen: 'a:1', advertise: ['a:0']}",
            "0 is no port in cluster.advertise[0]; ports go from 1 to 65535",
        ),
        (
            "devices: {}\ncatalogs: [nope]\nhandlers: [{id: a, events: a.*, handler: 'os:abort'}]",
            "gateway.yaml:2:1: no catalog 'nope' is installed",
        ),
        ("devices: {}\nprometheus: true", "metrics, and nowhere to answer with them"),
        ("devices: {}\nhealth: 8080", "expected an address to listen at, found the number 8080"),
        ("devices: {}\ncluster: {name: g1, listen: 'a:1'}", "'g1' is not a name of a node"),
        ("devices: {}\notlp: {protocol: http}", "unknown protocol 'http'"),
        ("devices: {}\nstop_within: 0", "stop_within"),
        (
            "devices: {a: {address: tcp://h, schema: boiler.yaml, tags: {gateway.name: x}}}",
            "tag 'gateway.name' is one of the gateway's in devices.a.tags.gateway.name",
        ),
        (
            "devices: {a: {address: tcp://h, schema: boiler.yaml, tags: {Hall: x}}}",
            "'Hall' is not a name of an attribute",
        ),
        (
            "devices: {}\nhandlers: [{id: a, events: gateway.alarms.*, handler: 'os:getcwd'}]",
            "gateway.yaml:2:20: no event matches 'gateway.alarms.*' in handlers[0].events",
        ),
        (
            "devices: {}\nhandlers: [{id: a, events: gateway.*, handler: 'os:getpwd'}]",
            "'os' has no 'getpwd' in handlers[0].handler; did you mean ",
        ),
        (
            "devices: {}\nhandlers: [{id: a, events: gateway.*, handler: 'asyncio:sleep'}]",
            "gateway.yaml:2:12: ",
        ),
        ("devices: {}\nhandlers: {id: a}", "expected a path from this file, found a mapping"),
    ],
)
def test_a_fault_is_told_with_its_place(folder: Path, text: str, expected: str) -> None:
    [fault] = faults(text)

    assert fault.startswith("gateway.yaml:")
    assert expected in fault


@pytest.mark.parametrize("text", ["raise RuntimeError('no licence')", "def (:", "1 / 0"])
def test_a_module_that_fails_is_a_fault_too(folder: Path, text: str) -> None:
    module = f"failing_of_gateway_{len(text)}"
    (folder / f"{module}.py").write_text(text)

    [fault] = faults(f"devices: {{a: {{address: tcp://h, schema: '{module}:Pump'}}}}")

    assert fault.startswith(f"gateway.yaml:1:33: importing '{module}' fails: ")
    assert fault.endswith("; mend that module in devices.a.schema")


def test_faults_of_a_file_of_handlers_are_told_where_they_are(folder: Path) -> None:
    Path("handlers.yaml").write_text("handlers:\n- {id: a, events: nope.*, handler: 'os:getcwd'}")

    [fault] = faults("devices: {}\nhandlers: handlers.yaml")
    [missing] = faults("devices: {}\nhandlers: none.yaml")

    assert fault.startswith("handlers.yaml:2:11: no event matches 'nope.*'")
    assert missing.startswith("none.yaml")


def test_faults_of_a_device_file_are_told_where_it_is_named(folder: Path) -> None:
    Path("bad.yaml").write_text("coils: {a: 70000, b: {address: 1, codec: int17}}")

    found = faults("devices:\n  a: {address: tcp://h, schema: bad.yaml}")

    assert len(found) == 2
    assert all(each.startswith("gateway.yaml:2:25: bad.yaml:1: mapping ") for each in found)


def test_it_knows_where_there_are_limits(folder: Path) -> None:
    config = read("devices: {a: {address: tcp://h, schema: boiler.yaml}}")

    assert config.limited("a", "flow_temp", "above")
    assert not config.limited("a", "flow_temp", "below")
    assert not config.limited("a", "return_temp", "above")
    assert not config.limited("a", "gone", "above")
    assert not config.limited("gone", "flow_temp", "above")


def test_a_device_is_the_same_until_its_file_says_something_else(folder: Path) -> None:
    text = "devices: {a: {address: tcp://h, schema: boiler.yaml}}"
    before = read(text)

    assert before.devices["a"].same(read(text).devices["a"])
    assert not before.devices["a"].same(read(text.replace("//h", "//i")).devices["a"])

    Path("boiler.yaml").write_text(BOILER.replace("75", "80"))

    assert not before.devices["a"].same(read(text).devices["a"])
    assert before.digest == read(text).digest
    assert before.digest != read(text.replace("a:", "b:", 1)).digest


def test_the_reference_is_what_the_file_is_checked_by() -> None:
    page = (ROOT / "docs" / "reference" / "gateway-file.md").read_text(encoding="utf-8")

    assert page == format_reference(), "write it again: make generated"


def test_the_example_is_sound() -> None:
    config = load(ROOT / "examples" / "gateway" / "gateway.yaml")

    assert list(config.devices) == ["boiler", "heat-pump"]
    assert config.handlers is not None
    with config.handlers.attach(Telemetry()) as attached:
        assert attached.events["alarms"] == ("gateway.alarm.raised", "gateway.alarm.cleared")


def test_the_files_of_the_guide_are_sound(folder: Path) -> None:
    guide = (ROOT / "docs" / "how-to" / "run-a-gateway.md").read_text(encoding="utf-8")
    blocks = re.findall(r"(?ms)^```yaml\n(.*?)^```$", guide)
    Path("boiler.yaml").write_text(blocks[0])

    config = read(blocks[1] + blocks[2])

    assert config.cluster is not None
    assert config.devices["boiler"].schema.mappings["flow_temp"].alarm_above == 75
