# SPDX-License-Identifier: Apache-2.0
"""Run scenarios and write their tables and plots: `python -m benchmarks.simulations [NAME...]`.

Scenarios lie in `examples/cluster/simulations`; what they come to is written beside the page that
shows it. The same scenario gives the same files, byte for byte.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from benchmarks.simulations.picture import picture
from heliograph.partisan.simulator.experiments import run
from heliograph.partisan.simulator.plots import charts
from heliograph.partisan.simulator.report import document, markdown
from heliograph.partisan.simulator.scenario import load

HERE = Path(__file__).parents[2]
SCENARIOS = HERE / "examples" / "cluster" / "simulations"
TARGET = HERE / "docs" / "explanation" / "simulations"


def main(names: list[str]) -> None:
    TARGET.mkdir(exist_ok=True)
    (TARGET / "overlay.svg").write_text(picture(), encoding="utf-8")
    # Those of the paper alone go last, since they have an overlay of their own, built once for all.
    every = sorted(
        (path.stem for path in SCENARIOS.glob("*.toml")),
        key=lambda name: (name.endswith("-paper"), name),
    )
    for name in names or every:
        path = SCENARIOS / f"{name}.toml"
        scenario = load(path)
        began = time.process_time()
        result = run(scenario)
        took = time.process_time() - began
        report = json.dumps(document(result), indent=1, sort_keys=True)
        (TARGET / f"{path.stem}.json").write_text(f"{report}\n", encoding="utf-8")
        (TARGET / f"{path.stem}.txt").write_text(markdown(result), encoding="utf-8")
        for chart, drawn in charts(result).items():
            (TARGET / f"{'-'.join(filter(None, (path.stem, chart)))}.svg").write_text(
                drawn, encoding="utf-8"
            )
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{path.stem}: {took:.0f} s of one core; {peak:.0f} MiB at most so far",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
