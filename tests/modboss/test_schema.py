# SPDX-License-Identifier: Apache-2.0
"""Schemas: definitions taken and refused, derived schemas, records."""

from __future__ import annotations

import copy
import enum
import math
import pickle
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.modboss import (
    Fault,
    Field,
    MappingValueError,
    Metadata,
    ModbossError,
    Schema,
    SchemaError,
    UnknownNamesError,
    codecs,
    coil,
    discrete_input,
    holding_register,
    input_register,
)
from heliograph.modboss.codecs import Utf8
from heliograph.modboss.definition import OPTIONS
from heliograph.modboss.mapping import OBJECT_TYPES


class Fan(enum.IntEnum):
    OFF = 0
    ON = 1


class Toggle:
    def encode(self, value: bool) -> int:
        return int(not value)

    def decode(self, value: int) -> bool:
        return not value


class Thermostat(Schema, max_batch_reads={"holding_registers": 64}):
    outdoor_temp = input_register(1, "int16", scale="0.1", unit="Cel", description="In the shade")
    setpoint = holding_register(2, "int16", scale=Decimal("0.5"), mode="rw", gap_safe=False)
    heating = coil(1, "toggle", mode="rw")
    fan = holding_register(3, Fan, mode="w")

    @staticmethod
    def encode_toggle(value: bool) -> int:
        return int(not value)

    @staticmethod
    def decode_toggle(value: int, metadata: Metadata) -> bool:
        return not value


def faults(make: Callable[[], object]) -> list[Fault]:
    with pytest.raises(SchemaError) as caught:
        make()
    return list(caught.value.faults)


def faults_of(*mappings: Any, **options: Any) -> list[Fault]:
    """The faults of mappings that are named and typed, and lie apart, unless they say otherwise."""
    given = [
        {"name": f"m{at}", "type": "holding_register", "address": 100 * at, **each}
        for at, each in enumerate(mappings)
    ]
    return faults(lambda: Schema.from_mappings("Device", given, **options))


# -- Definitions ----------------------------------------------------------------------------------


def test_a_schema_has_its_mappings_in_the_order_of_definition() -> None:
    assert list(Thermostat.mappings) == ["outdoor_temp", "setpoint", "heating", "fan"]
    assert Thermostat.schema_name == "Thermostat"
    outdoor = Thermostat.mappings["outdoor_temp"]
    assert (outdoor.object_type, outdoor.starting_address, outdoor.address_count) == (
        "input_register",
        1,
        1,
    )
    assert (outdoor.unit, outdoor.description) == ("Cel", "In the shade")
    assert outdoor.decode([215]) == 21.5
    assert Thermostat.mappings["setpoint"].encode(Decimal("21.5")) == [43]
    assert Thermostat.mappings["fan"].encode(Fan.ON) == [1]


def test_gap_safety_follows_the_mode_unless_it_is_said() -> None:
    assert {name: each.gap_safe for name, each in Thermostat.mappings.items()} == {
        "outdoor_temp": True,
        "setpoint": False,
        "heating": True,
        "fan": False,
    }


def test_limits_are_those_of_the_protocol_unless_they_are_set() -> None:
    assert Thermostat.read_limits == {
        "holding_register": 64,
        "input_register": 125,
        "coil": 2000,
        "discrete_input": 2000,
    }
    assert Thermostat.write_limits == {"holding_register": 123, "coil": 1968}


def test_limits_may_lie_above_those_of_the_protocol() -> None:
    schema = Schema.from_mappings("Device", [], max_batch_writes={"holding_registers": 1000})

    assert schema.write_limits["holding_register"] == 1000


def test_mappings_and_limits_cannot_be_changed() -> None:
    for mapping in (Thermostat.mappings, Thermostat.read_limits, Thermostat.write_limits):
        with pytest.raises(TypeError):
            mapping["outdoor_temp"] = None  # type: ignore[index]  # on purpose


def test_methods_of_the_schema_can_be_codecs() -> None:
    heating = Thermostat.mappings["heating"]

    assert (heating.codec, heating.codec_name) == ("toggle", "toggle")
    assert heating.encode(True) == [0]
    assert heating.decode([0]) is True
    assert (heating.encoder_takes_metadata, heating.decoder_takes_metadata) == (False, True)


def test_methods_of_the_schema_come_before_built_in_codecs() -> None:
    class Odd(Schema):
        on = holding_register(1, "boolean")

        @staticmethod
        def decode_boolean(value: int) -> str:
            return f"odd {value}"

    assert Odd.mappings["on"].decode([1]) == "odd 1"


def test_class_methods_and_plain_functions_can_be_codecs() -> None:
    class Device(Schema):
        a = holding_register(1, "own")
        b = holding_register(2, "plain")

        @classmethod
        def decode_own(cls, value: int) -> tuple[str, int]:
            return cls.__name__, value

        def decode_plain(value: int) -> int:  # type: ignore[misc]  # noqa: N805 - it is no method
            return -value

    assert Device.mappings["a"].decode([1]) == ("Device", 1)
    assert Device.mappings["b"].decode([1]) == -1


def test_a_builtin_function_that_tells_nothing_takes_one_argument() -> None:
    class Device(Schema):
        length = holding_register(1, "own", count=3)
        decode_own = staticmethod(max)

    assert Device.mappings["length"].decode([1, 3, 2]) == 3


def test_the_number_of_registers_may_be_left_to_the_codec() -> None:
    class Device(Schema):
        power = holding_register(1, "float32")
        address = holding_register(3, "ipv6")
        curve = holding_register(20, "int32[5]")
        names = holding_register(40, "utf8", count=4)

    assert [each.address_count for each in Device.mappings.values()] == [2, 8, 10, 4]


def test_orders_of_the_schema_hold_where_fields_do_not_say_otherwise() -> None:
    class Device(Schema, word_order="little", byte_order="little"):
        a = holding_register(1, "uint32")
        b = holding_register(3, "uint32", word_order="big")
        c = holding_register(5, "utf8", count=1)
        d = holding_register(6, "raw")
        e = holding_register(7, enum={1: "one"}, byte_order="big")

    registers = {name: each.encode(1) for name, each in list(Device.mappings.items())[:2]}
    assert registers == {"a": [0x0100, 0], "b": [0, 0x0100]}
    assert Device.mappings["c"].encode("A") == [0x0041]
    assert Device.mappings["d"].encode(1) == [1]
    assert Device.mappings["e"].encode("one") == [1]


def test_a_mapping_may_be_called_otherwise_than_its_attribute() -> None:
    class Device(Schema):
        first = holding_register(1, name="1st value")

    assert list(Device.mappings) == ["1st value"]
    assert Device.first.name == "1st value"
    assert Device.record({"1st value": 5}).first == 5


def test_a_schema_may_be_empty() -> None:
    class Nothing(Schema):
        pass

    assert dict(Nothing.mappings) == {}
    assert dict(Schema.from_mappings("Nothing", []).mappings) == {}


# -- From data ------------------------------------------------------------------------------------


def test_a_schema_of_data_is_like_one_of_a_class() -> None:
    made = Schema.from_mappings(
        "Thermostat",
        [
            {
                "name": "outdoor_temp",
                "type": "input_register",
                "address": 1,
                "codec": "int16",
                "scale": "0.1",
                "unit": "Cel",
                "description": "In the shade",
            },
            {
                "name": "setpoint",
                "type": "holding_register",
                "address": 2,
                "codec": "int16",
                "scale": Decimal("0.5"),
                "mode": "rw",
                "gap_safe": False,
            },
            {"name": "heating", "type": "coil", "address": 1, "codec": "toggle", "mode": "rw"},
            {"name": "fan", "type": "holding_register", "address": 3, "codec": Fan, "mode": "w"},
        ],
        codecs={"toggle": Toggle()},
        max_batch_reads={"holding_registers": 64},
    )

    assert list(map(repr, made.mappings.values())) == list(map(repr, Thermostat.mappings.values()))
    assert made.read_limits == Thermostat.read_limits
    assert made.mappings["heating"].decode([0]) is True
    assert made.record({"outdoor_temp": 21.5})["outdoor_temp"] == 21.5


def test_a_schema_of_data_has_attributes_where_they_can_be() -> None:
    names = ["plain", "not a name", "mappings"]
    made = Schema.from_mappings(
        "Device", [{"name": name, "type": "coil", "address": at} for at, name in enumerate(names)]
    )
    record = made.record(dict.fromkeys(names, 1))

    assert record.plain == 1  # type: ignore[attr-defined]  # which no checker can know
    assert isinstance(made.plain, Field)  # type: ignore[attr-defined]  # as above
    assert [record[name] for name in names] == [1, 1, 1]
    assert list(made.mappings) == names


def test_a_schema_of_data_may_be_derived_from() -> None:
    made = Schema.from_mappings("Base", [{"name": "a", "type": "coil", "address": 1}])

    class Device(made):  # type: ignore[valid-type,misc]  # a checker cannot follow
        b = coil(2)

    assert list(Device.mappings) == ["a", "b"]
    more = Device.from_mappings("More", [{"name": "c", "type": "coil", "address": 3}])
    assert list(more.mappings) == ["a", "b", "c"]


# -- Derived schemas ------------------------------------------------------------------------------


def test_a_derived_schema_adds_replaces_and_takes_out() -> None:
    class Better(Thermostat, max_batch_writes={"coils": 8}, word_order="little"):
        setpoint = holding_register(12, "float32", mode="rw")  # type: ignore[assignment]
        fan = None  # type: ignore[assignment]  # checkers are right: it is no Thermostat any more
        humidity = input_register(2, "uint16")

    assert list(Better.mappings) == ["outdoor_temp", "heating", "setpoint", "humidity"]
    assert Better.mappings["setpoint"].starting_address == 12
    assert Better.read_limits == Thermostat.read_limits
    assert Better.write_limits["coil"] == 8
    assert Better.mappings["setpoint"].encode(1.5) == [0, 0x3FC0]
    assert list(Thermostat.mappings) == ["outdoor_temp", "setpoint", "heating", "fan"]

    class Best(Better):
        pass

    assert list(Best.mappings) == list(Better.mappings)
    assert Best.mappings["setpoint"].encode(1.5) == [0, 0x3FC0]


def test_schemas_can_be_put_together() -> None:
    class Clock(Schema):
        now = holding_register(50, "timestamp", count=2)

    class Both(Thermostat, Clock):
        pass

    assert set(Both.mappings) == {*Thermostat.mappings, *Clock.mappings}


def test_codec_methods_may_come_from_a_class_that_is_no_schema() -> None:
    class Codecs:
        @staticmethod
        def decode_half(value: int) -> float:
            return value / 2

    class Device(Codecs, Schema):
        x = holding_register(1, "half")

    assert Device.mappings["x"].decode([5]) == 2.5


def test_what_is_inherited_clashes_like_all_else() -> None:
    def derive() -> None:
        class Worse(Thermostat):
            other = holding_register(2)

    (fault,) = faults(derive)

    assert (fault.code, fault.parameters) == (
        "duplicate_addresses",
        {"addresses": [("holding_register", 2)]},
    )
    assert str(fault) == "addresses mapped more than once: holding_register 2 (setpoint, other)"


# -- Faults ---------------------------------------------------------------------------------------


def test_all_faults_are_raised_at_once() -> None:
    def define() -> None:
        class Bad(Schema, max_batch_reads={"holding_register": 5}, bogus=1):
            all = coil(1)
            a = holding_register(1, "nope", mode="rw")
            b = input_register(70000, mode="w", colour="red")  # type: ignore[call-overload]
            a = holding_register(1)  # noqa: PIE794 - on purpose

    with pytest.raises(SchemaError) as caught:
        define()

    assert [(each.code, each.mapping) for each in caught.value.faults] == [
        ("unknown_schema_option", None),
        ("unknown_limit", None),
        ("reserved_name", "all"),
        ("unknown_mapping_option", "b"),
        ("invalid_mode", "b"),
        ("address_out_of_range", "b"),
        ("duplicate_names", None),
        ("duplicate_addresses", None),
        ("codec_missing", "a"),
        ("codec_missing", "a"),
    ]
    assert str(caught.value).startswith("schema Bad has 10 faults:\n  a schema has no option")
    assert "\n  mapping 'all': 'all' stands for all names" in str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, ModbossError)
    assert caught.value.schema == "Bad"


def test_one_fault_is_one_line() -> None:
    with pytest.raises(SchemaError) as caught:
        Schema.from_mappings("Device", [{"name": "x", "type": "coil", "address": 65536}])

    assert str(caught.value) == ("schema Device: mapping 'x': address 65536 is outside 0 to 65535")


@pytest.mark.parametrize(
    ("mapping", "code", "text"),
    [
        ({"name": ""}, "bad_argument", "a name must be a string, not ''"),
        ({"name": None}, "bad_argument", "a name must be a string, not None"),
        ({"type": "register"}, "bad_argument", "'register' is no object type"),
        ({"type": ["coil"]}, "bad_argument", "is no object type"),
        ({"address": True}, "bad_argument", "address is True"),
        ({"address": range(5, 5)}, "empty_range", "a range from 5 to 4 has no addresses"),
        ({"address": range(5, 3)}, "empty_range", "a range from 5 to 2 has no addresses"),
        ({"address": range(5, 9, 2)}, "bad_range_step", "do not go up by one"),
        ({"address": range(1, 3), "count": 2}, "bad_argument", "leave count out"),
        ({"count": 0}, "bad_argument", "count is 0; it must be an integer from 1"),
        ({"count": 2.0}, "bad_argument", "count is 2.0"),
        ({"address": -1}, "address_out_of_range", "address -1 is outside 0 to 65535"),
        ({"address": 65535, "codec": "int32"}, "address_out_of_range", "65535 to 65536 is"),
        ({"address": range(10**30)}, "address_out_of_range", "is outside"),
        ({"count": 10**30, "codec": "utf8"}, "address_out_of_range", "is outside"),
        ({"mode": "read"}, "invalid_mode", "mode is 'read'; it must be 'r', 'rw' or 'w'"),
        ({"mode": []}, "invalid_mode", r"mode is \[\]"),
        ({"type": "discrete_input", "mode": "rw"}, "invalid_mode", "lets nobody write"),
        ({"gap_safe": 1}, "invalid_mapping_option", "gap_safe is 1; it must be True or False"),
        ({"gap_safe": True, "mode": "w"}, "gap_safe_on_write_only", "mode is 'w'"),
        ({"unit": 5}, "invalid_mapping_option", "unit is 5; it must be a string"),
        ({"description": []}, "invalid_mapping_option", r"description is \[\]"),
        ({"alarm_above": "hot"}, "invalid_mapping_option", "'hot'; it must be a finite number"),
        ({"alarm_below": math.inf}, "invalid_mapping_option", "must be a finite number"),
        ({"alarm_above": True}, "invalid_mapping_option", "must be a finite number"),
        (
            {"alarm_below": 75, "alarm_above": 60.5},
            "invalid_mapping_option",
            r"alarm_below is 75, which is not below alarm_above, 60\.5",
        ),
        ({"uint": "Cel"}, "unknown_mapping_option", "no option 'uint'; did you mean 'unit'"),
        ({5: "Cel"}, "unknown_mapping_option", "no option 5; there are codec, mode,"),
        ({"codec": 5}, "bad_argument", "codec is 5; write a codec's name"),
        ({"codec": b"raw"}, "bad_argument", "codec is b'raw'"),
        ({"codec": Utf8}, "bad_argument", "codec is the class Utf8; give an instance of it"),
        ({"codec": "nope"}, "codec_missing", "there is no built-in codec 'nope'"),
        ({"codec": "unit16"}, "codec_missing", "did you mean 'uint16'"),
        ({"codec": "nope[]"}, "codec_missing", r"there is no built-in codec 'nope\[\]'"),
        ({"codec": "int16", "count": 2}, "wrong_address_count", "takes 1 registers, not 2"),
        ({"codec": "int32[]", "count": 3}, "wrong_address_count", "multiples of 2"),
        ({"codec": "int16", "type": "coil"}, "wrong_object_type", "a coil has one bit"),
        ({"codec": "int16", "scale": 0}, "invalid_codec_option", "scale is 0"),
        ({"codec": "ascii", "scale": 1}, "invalid_codec_option", "ascii takes no scale"),
        ({"scale": 1}, "invalid_codec_option", "raw takes no scale"),
        ({"codec": "utf8[]"}, "invalid_codec_option", "elements that know their registers"),
        ({"codec": "int16[0]"}, "invalid_codec_option", "the length of an array is 0"),
        ({"codec": "int16[]", "pad": "nul"}, "invalid_codec_option", "int16 takes no pad"),
        ({"codec": Fan, "scale": 1}, "invalid_codec_option", "Fan takes no scale"),
        ({"codec": enum.Enum("None_", [])}, "invalid_codec_option", "must have members"),
        (
            {"codec": Utf8(), "pad": "nul"},
            "invalid_codec_option",
            "codec utf8 is made already; give it pad",
        ),
        ({"codec": "utf8", "enum": {1: "a"}}, "invalid_codec_option", "gives a meaning to int"),
        ({"enum": {}}, "invalid_codec_option", "enum has names by number"),
        ({"enum": {1: "a"}, "flags": {1: "a"}}, "invalid_codec_option", "takes no"),
        ({"bits": {"a": 16}}, "wrong_address_count", "which uint16 cannot hold"),
    ],
    ids=repr,
)
def test_what_is_wrong_with_a_mapping_is_told(
    mapping: dict[Any, Any], code: str, text: str
) -> None:
    (fault,) = faults_of(mapping)

    assert fault.code == code
    with pytest.raises(AssertionError, match=text):
        raise AssertionError(fault.text)


def test_every_wrong_option_of_a_codec_is_told() -> None:
    found = faults_of({"codec": "int16", "scale": 0, "offset": "x", "word_order": "up", "pad": "x"})

    assert [each.parameters["option"] for each in found] == ["pad", "scale", "offset", "word_order"]


def test_options_that_are_wrong_together_are_told() -> None:
    (fault,) = faults_of({"codec": "float32", "scale": Decimal(1), "offset": 1})

    assert fault.code == "invalid_codec_option"


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        ({"max_batch_reads": 5}, "bad_argument", "max_batch_reads is 5; write a mapping"),
        ({"max_batch_reads": {"coil": 5}}, "unknown_limit", "max_batch_reads has no 'coil'"),
        ({"max_batch_reads": {5: 5}}, "unknown_limit", "max_batch_reads has no 5"),
        ({"max_batch_writes": {"discrete_inputs": 5}}, "unknown_limit", "it takes holding_reg"),
        ({"max_batch_reads": {"coils": 0}}, "invalid_limit", "coils is 0; it must be an integer"),
        ({"max_batch_reads": {"coils": True}}, "invalid_limit", "coils is True"),
        ({"word_order": "up"}, "invalid_schema_option", "word_order is 'up'"),
        ({"byte_order": 5}, "invalid_schema_option", "byte_order is 5"),
    ],
    ids=repr,
)
def test_what_is_wrong_with_the_schema_itself_is_told(
    options: dict[str, Any], code: str, text: str
) -> None:
    (fault,) = faults_of(**options)

    assert (fault.code, fault.mapping) == (code, None)
    assert text in fault.text


def test_what_is_no_mapping_is_told() -> None:
    (fault,) = faults(lambda: Schema.from_mappings("Device", [("a", "coil", 1)]))  # type: ignore[list-item]  # on purpose

    assert fault.code == "bad_argument"
    assert "is no mapping; write a dict with name, type and address" in fault.text


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda self, value: value, "decode_own takes self; make it a staticmethod"),
        (lambda: None, "decode_own takes neither a value alone nor a value and metadata"),
        (lambda a, b, c: a, "decode_own takes neither a value alone nor a value and metadata"),
        (5, "decode_own is no function"),
    ],
    ids=["self", "none", "three", "number"],
)
def test_a_codec_method_takes_a_value_and_perhaps_metadata(function: Any, text: str) -> None:
    def define() -> None:
        class Device(Schema):
            x = holding_register(1, "own")
            decode_own = function

    (fault,) = faults(define)

    assert (fault.code, fault.parameters["function"]) == ("codec_missing", "decode_own")
    assert text in fault.text


def test_codecs_of_your_own_take_no_options() -> None:
    def define() -> None:
        class Device(Schema):
            x = holding_register(1, "own", word_order="little")

            @staticmethod
            def decode_own(value: int) -> int:
                return value

    (fault,) = faults(define)

    assert fault.text == "codec own is a codec of the schema, which takes no word_order"


def test_names_that_every_schema_has_are_taken() -> None:
    def define() -> None:
        class Device(Schema):
            mappings = holding_register(1)  # type: ignore[assignment]  # on purpose

    (fault,) = faults(define)

    assert (fault.code, fault.mapping) == ("reserved_attribute", "mappings")
    assert fault.text.endswith("call yours otherwise, and give the field name='mappings'")


def test_many_doubled_addresses_are_counted() -> None:
    (fault,) = faults_of({"address": range(50)}, {"address": range(50)})

    assert len(fault.parameters["addresses"]) == 50
    assert fault.text.endswith("holding_register 7 (m0, m1) and 42 more")


def test_no_more_faults_are_looked_for_than_anybody_mends() -> None:
    names = [f"m{at}" for at in range(5000)]
    found = faults(
        lambda: Schema.from_mappings(
            "Device",
            [{"name": each, "type": "coil", "address": 1, "codec": each} for each in names],
        )
    )

    assert len(found) == 1001
    assert (found[-1].code, found[-1].text) == (
        "too_many_faults",
        "4000 more mappings were not looked at; mend these first",
    )


def test_spans_that_overlap_in_many_ways_are_told_address_by_address() -> None:
    spans = [range(10), range(2, 4), range(3, 6), range(12, 14), range(13, 20), range(5, 6)]
    found = faults_of(*[{"address": span} for span in spans])

    (fault,) = found
    counted = Counter([address for span in spans for address in span])
    assert fault.parameters["addresses"] == [
        ("holding_register", address) for address in sorted(counted) if counted[address] > 1
    ]
    assert fault.text.endswith("holding_register 13 (m3, m4)")


def test_large_spans_take_no_longer_than_small_ones() -> None:
    everything = {"address": range(65536)}

    (fault,) = faults_of(*[everything] * 3000)

    assert len(fault.parameters["addresses"]) == 65536


def test_a_field_belongs_into_a_schema() -> None:
    with pytest.raises(
        (RuntimeError, SchemaError)
    ) as caught:  # 3.11 wraps what __set_name__ raises
        type("Plain", (), {"x": discrete_input(1)})

    error = caught.value.__cause__ or caught.value
    assert isinstance(error, SchemaError)
    assert error.faults[0].code == "schema_not_enabled"
    assert "Plain is no schema; derive it from Schema" in str(error)


ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(-2, 20),
        st.floats(),
        st.decimals(),
        st.text(max_size=5),
        st.binary(max_size=3),
        st.sampled_from(["r", "rw", "w", "big", "little", "space", *codecs.NAMES]),
        st.builds(range, st.integers(-1, 9), st.integers(0, 12), st.integers(1, 2)),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(st.one_of(st.integers(-1, 40), st.text(max_size=3)), inner, max_size=3),
    ),
    max_leaves=4,
)
LIKELY = {
    "name": st.sampled_from(["a", "b", "c", "all", ""]),
    "type": st.sampled_from([*OBJECT_TYPES, "coils"]),
    "address": st.integers(0, 100),
    "codec": st.sampled_from([*codecs.NAMES, "int32[]", "own", "nope"]),
}


@given(
    st.lists(
        st.fixed_dictionaries(
            {key: st.one_of(likely, ANYTHING) for key, likely in LIKELY.items()},
            optional=dict.fromkeys([*OPTIONS, "other"], ANYTHING),
        ),
        max_size=4,
    ),
    st.one_of(st.none(), ANYTHING),
    ANYTHING,
)
def test_whatever_data_says_is_a_schema_or_one_error(
    mappings: list[dict[str, Any]], limits: Any, value: Any
) -> None:
    with suppress(SchemaError):
        schema = Schema.from_mappings(
            "Device", mappings, codecs={"own": Toggle()}, max_batch_reads=limits
        )
        for mapping in schema.mappings.values():
            with suppress(MappingValueError):
                mapping.encode(value)


# -- Records --------------------------------------------------------------------------------------


def test_a_record_has_values_as_attributes() -> None:
    record = Thermostat.record({"outdoor_temp": 21.5, "heating": True})

    assert record.outdoor_temp == 21.5
    assert record["heating"] is True
    assert dict(record) == {"outdoor_temp": 21.5, "heating": True}
    assert len(record) == 2
    assert "heating" in record
    assert "setpoint" not in record
    assert repr(record) == "Thermostat(outdoor_temp=21.5, heating=True)"


def test_a_value_that_was_not_read_is_no_attribute() -> None:
    record = Thermostat.record({"outdoor_temp": 21.5})

    with pytest.raises(AttributeError, match="this record of Thermostat has no setpoint"):
        _ = record.setpoint
    with pytest.raises(KeyError):
        _ = record["setpoint"]


def test_a_record_has_no_values_of_other_names() -> None:
    with pytest.raises(UnknownNamesError, match="Thermostat has no mappings of these names: 'x'"):
        Thermostat.record({"outdoor_temp": 21.5, "x": 1})


def test_a_record_does_not_change() -> None:
    values = {"outdoor_temp": 21.5}
    record = Thermostat.record(values)
    values["outdoor_temp"] = 5.0

    with pytest.raises(AttributeError, match="so outdoor_temp cannot be set; write to the device"):
        record.outdoor_temp = 5.0  # type: ignore[assignment]  # checkers say so, too
    with pytest.raises(AttributeError):
        record.other = 5  # type: ignore[attr-defined]  # as above
    assert record.outdoor_temp == 21.5


def test_records_are_equal_by_their_values() -> None:
    record = Thermostat.record({"outdoor_temp": 21.5})

    assert record == Thermostat.record({"outdoor_temp": 21.5})
    assert record != Thermostat.record({"outdoor_temp": 21.6})
    assert record != {"outdoor_temp": 21.5}
    with pytest.raises(TypeError, match="unhashable"):
        hash(record)


def test_records_can_be_pickled_and_copied() -> None:
    record = Thermostat.record({"outdoor_temp": 21.5})

    assert pickle.loads(pickle.dumps(record)) == record
    assert copy.copy(record) == record


def test_a_field_of_the_class_is_itself() -> None:
    assert Thermostat.outdoor_temp.name == "outdoor_temp"
    assert repr(Thermostat.outdoor_temp) == "<Field outdoor_temp>"
