# Read by type checkers, never run. A line that ends in "# error" must be refused, all others taken.
from __future__ import annotations

import datetime as dt
import enum
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from typing import Any, assert_type

from heliograph.modboss import (
    AsyncDevice,
    Device,
    Field,
    Link,
    Metadata,
    ObjectType,
    Reading,
    RetryPolicy,
    Schema,
    Tcp,
    aread,
    awrite,
    coil,
    discrete_input,
    encode,
    holding_register,
    input_register,
    read,
    write,
)
from heliograph.modboss.codecs import Array, Codec, Number, Utf8, array, codec


class Fan(enum.IntEnum):
    OFF = 0
    ON = 1


class Alarm(enum.IntFlag):
    HOT = 1


class Point:
    def decode(self, value: list[int]) -> complex:
        return complex(value[0], value[1])

    def encode(self, value: complex) -> list[int]:
        return [int(value.real), int(value.imag)]


class Named:
    def decode(self, value: int, metadata: Metadata) -> tuple[str, int]:
        return metadata.name, value


class Sink:
    def encode(self, value: str) -> int:
        return len(value)


class Thermostat(Schema, max_batch_reads={"holding_registers": 64}, word_order="little"):
    outdoor_temp = input_register(1, "int16", scale="0.1", unit="Cel")
    indoor_temp = input_register(2, "int16", scale=0.1, missing=-32768)
    price = input_register(3, "uint32", scale=Decimal("0.01"))
    count = input_register(5, "uint32")
    steps = input_register(7, "int16", scale=10, offset=-40)
    shifted = input_register(8, "int16", offset=0.5)
    maybe = input_register(9, "uint16", missing=0xFFFF)
    maybe_price = input_register(10, "uint16", scale=Decimal("0.01"), missing=0xFFFF)
    power = input_register(12, "float32", word_order="big", byte_order="little")
    energy = input_register(14, "float64", missing=float("nan"))
    digits = input_register(range(18, 20), "bcd")
    raw = holding_register(1)
    several = holding_register(range(2, 5))
    counted = holding_register(5, count=3)
    small = holding_register(8, "unsigned_int", mode="rw", gap_safe=False)
    text = holding_register(range(10, 18), "ascii")
    city = holding_register(20, "utf8", count=8, pad="space")
    on = holding_register(30, "boolean")
    word = holding_register(31, "bits")
    blob = holding_register(32, "bytes", count=4)
    day = holding_register(40, "date")
    moment = holding_register(43, "datetime")
    since = holding_register(50, "timestamp", count=2)
    v4 = holding_register(52, "ipv4")
    v6 = holding_register(54, "ipv6")
    mac = holding_register(62, "mac")
    fan = holding_register(65, Fan, mode="rw")
    alarms = holding_register(66, Alarm)
    level = holding_register(67, enum={0: "low", 1: "high"})
    lamps = holding_register(68, "uint32", flags={0: "red", 31: "green"})
    parts = holding_register(70, bits={"running": 0, "stage": (1, 3)})
    curve = holding_register(71, array("float32"), count=8)
    table = holding_register(80, Array(Utf8(), 1))
    point = holding_register(90, Point(), count=2)
    named = holding_register(92, Named())
    sink = holding_register(93, Sink(), mode="w")
    own = holding_register(94, "own")
    flag = coil(1)
    flags = coil(range(2, 5))
    pump = coil(8, "boolean", mode="rw")
    bank = coil(10, "bits", count=8)
    door = discrete_input(1, "boolean")
    secret = discrete_input(2, Named())

    @staticmethod
    def decode_own(value: int) -> float:
        return value / 2


# A field is itself in the class, and its value in a record.
assert_type(Thermostat.outdoor_temp, Field[float])
assert_type(Thermostat.outdoor_temp.name, str)
record = Thermostat.record({"outdoor_temp": 21.5})
assert_type(record, Thermostat)
assert_type(record.outdoor_temp, float)
assert_type(record.indoor_temp, float | None)
assert_type(record.price, Decimal)
assert_type(record.count, int)
assert_type(record.steps, int)
assert_type(record.shifted, float)
assert_type(record.maybe, int | None)
assert_type(record.maybe_price, Decimal | None)
assert_type(record.power, float)
assert_type(record.energy, float | None)
assert_type(record.digits, int)
assert_type(record.raw, int)
assert_type(record.several, list[int])
assert_type(record.counted, list[int])
assert_type(record.small, int)
assert_type(record.text, str)
assert_type(record.city, str)
assert_type(record.on, bool)
assert_type(record.word, list[bool])
assert_type(record.blob, bytes)
assert_type(record.day, dt.date)
assert_type(record.moment, dt.datetime)
assert_type(record.since, dt.datetime)
assert_type(record.v4, IPv4Address)
assert_type(record.v6, IPv6Address)
assert_type(record.mac, str)
assert_type(record.fan, Fan)
assert_type(record.alarms, Alarm)
assert_type(record.level, str)
assert_type(record.lamps, frozenset[str])
assert_type(record.parts, dict[str, int])
assert_type(record.curve, list[float])
assert_type(record.table, list[str])
assert_type(record.point, complex)
assert_type(record.named, tuple[str, int])
assert_type(record.sink, Any)
assert_type(record.own, Any)
assert_type(record.flag, int)
assert_type(record.flags, list[int])
assert_type(record.pump, bool)
assert_type(record.bank, list[bool])
assert_type(record.door, bool)
assert_type(record.secret, tuple[str, int])
assert_type(record["outdoor_temp"], Any)
record.outdoor_temp + 0.5
record.outdoor_temp.upper()  # error
record.indoor_temp + 0.5  # error
record.outdoor_tmp  # error
record.outdoor_temp = 22.0  # error
record.raw = "x"  # error
Thermostat.record([1])  # error

# What a field takes.
holding_register()  # error
holding_register("1")  # error
holding_register(1, "int16", mode="read")  # error
holding_register(1, "int16", word_order="middle")  # error
holding_register(1, "int16", sacle="0.1")  # error
holding_register(1, mod="r")  # error
holding_register(1, "utf8", pad="x")  # error
holding_register(1, unit=5)  # error
coil(1, flags={0: "x"})  # error
typed: Field[bool] = holding_register(1, "own")
wrong: Field[str] = holding_register(1, "int16")  # error

# Schemas of data.
made = Schema.from_mappings("Pump", [{"name": "on", "type": "coil", "address": 1}])
assert_type(made, type[Schema])
assert_type(Schema.from_file("pump.yaml", codecs={"own": Point()}), type[Schema])
assert_type(Thermostat.from_mappings("More", [], word_order="little"), type[Thermostat])
Schema.from_mappings("Pump", [], word_order="middle")  # error
Schema.from_mappings("Pump", [1])  # error

# Codecs.
assert_type(codec("float32", word_order="little"), Codec[Any])
assert_type(array("int16", 4), Array[int])
assert_type(array("float32", word_order="little"), Array[float])
assert_type(array("timestamp"), Array[Any])
assert_type(Utf8(), Utf8)
element: Codec[str] = Utf8("little")
number: Codec[int] = Utf8()  # error
Utf8("middle")  # error
print(Number, element)


# Reads and writes by name.
def read_func(object_type: ObjectType, start: int, count: int) -> list[int]:
    return [0] * count


async def read_later(object_type: str, start: int, count: int) -> int:
    return 0


def write_func(object_type: ObjectType, start: int, values: Any) -> None:
    return None


async def write_later(object_type: ObjectType, start: int, values: Any) -> None:
    return None


assert_type(read(Thermostat, Thermostat.outdoor_temp, read_func), float)
assert_type(read(Thermostat, Thermostat.fan, read_func, on_refusal="split"), Fan)
assert_type(read(Thermostat, Thermostat.outdoor_temp, read_func, decode=False), Any)
assert_type(read(Thermostat, "outdoor_temp", read_func, max_gap={"coil": 3}), Any)
assert_type(read(Thermostat, ["outdoor_temp"], read_func), dict[str, Any])
assert_type(read(Thermostat, [Thermostat.fan, "count"], read_func), dict[str, Any])
assert_type(read(Thermostat, "all", read_func, retry=RetryPolicy()), dict[str, Any])
assert_type(read(Thermostat, "all", read_func, on_refusal="split"), Reading)
assert_type(read(Thermostat, ["fan"], read_func, on_refusal="split").refused["x"], object)
assert_type(write(Thermostat, {"small": 1}, write_func), None)
write(Thermostat, {Thermostat.small: 1}, write_func)
write(Thermostat, [("small", 1), (Thermostat.fan, Fan.ON)], write_func)
assert_type(encode(Thermostat, {"small": 1}), dict[tuple[ObjectType, int], Any])
read(Thermostat, 5, read_func)  # error
read(Thermostat, "fan", read_func, retries=3)  # error
read(Thermostat, "fan", read_func, on_refusal="ignore")  # error
read(Thermostat, "fan", read_func, max_gap={"coils": 3})  # error
read("Thermostat", "fan", read_func)  # error
read(Thermostat, "fan", len)  # error
write(Thermostat, {"small": 1}, write_func, decode=False)  # error
write(Thermostat, "small", write_func)  # error


async def later() -> None:
    assert_type(await aread(Thermostat, Thermostat.power, read_later), float)
    assert_type(await aread(Thermostat, ["power"], read_later), dict[str, Any])
    assert_type(await awrite(Thermostat, {"small": 1}, write_later), None)
    await aread(Thermostat, "power", read_func)  # error
    await awrite(Thermostat, {"small": 1}, write_func)  # error


def device(one: Device[Thermostat]) -> None:
    assert_type(one.read(Thermostat.outdoor_temp), float)
    assert_type(one.read("power", decode=False), Any)
    assert_type(one.read(), dict[str, Any])
    assert_type(one.read(["power"], max_gap=3, retry=None), dict[str, Any])
    assert_type(one.record(), Thermostat)
    assert_type(one.record().power, float)
    one.write({Thermostat.small: 1}, verify=True)
    one.read("power", retries=3)  # error
    one.write({"small": 1}, decode=False)  # error


async def device_later(one: AsyncDevice[Thermostat]) -> None:
    assert_type(await one.read(Thermostat.fan), Fan)
    assert_type(await one.read("all", on_refusal="split"), dict[str, Any])
    assert_type((await one.record("power")).power, float)
    assert_type(await one.reading("power")(), Any)
    await one.write([("small", 1)], retry=RetryPolicy())
    await one.read("power", gap=3)  # error


assert_type(Device(Thermostat, Tcp("127.0.0.1")), Device[Thermostat])
assert_type(AsyncDevice(Thermostat, Link(Tcp("127.0.0.1")), 2), AsyncDevice[Thermostat])
Device(Thermostat, "127.0.0.1")  # error
