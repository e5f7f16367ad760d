# SPDX-License-Identifier: Apache-2.0
"""Looks for what is missing: versions, extras, and what a gateway has to reach.

    for finding in examine("gateway.yaml"):
        print(finding.status, finding.text, finding.mend)

`heliograph doctor` prints it. Extras are looked for with the standard library alone; a gateway's
file needs what the gateway needs.
"""

from __future__ import annotations

from heliograph.apps.doctor.examination import examine
from heliograph.apps.doctor.findings import Finding, Status
from heliograph.apps.doctor.packages import extras, versions

__all__ = ["Finding", "Status", "examine", "extras", "versions"]
