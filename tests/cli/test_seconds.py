# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from heliograph.cli import ExitCode
from tests.cli.conftest import Call

OPTIONS = [
    "demo --seconds",
    "doctor --timeout",
    "collect --duration",
    "collect --until-idle",
    "modbus read tcp://127.0.0.1:1 coil:1 --timeout",
    "modbus watch tcp://127.0.0.1:1 coil:1 --every",
    "modbus watch tcp://127.0.0.1:1 coil:1 --duration",
]


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "0", "soon"])
@pytest.mark.parametrize("option", OPTIONS)
def test_what_is_no_time_is_refused(call: Call, option: str, value: str) -> None:
    result = call(*option.split(), value)

    assert result.exit_code == ExitCode.USAGE
    assert f"Error: Invalid value for '{option.rsplit(maxsplit=1)[-1]}'" in result.stderr
