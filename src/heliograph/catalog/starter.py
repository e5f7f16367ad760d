# SPDX-License-Identifier: Apache-2.0
"""The catalog that `heliograph catalog new` writes: small, sound, and commented for its reader."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Final

from heliograph.catalog import semconv
from heliograph.catalog.find import installed

if TYPE_CHECKING:
    import os

__all__ = ["render", "write"]

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")

_TEXT: Final = Template("""\
# The catalog of $name: what events it executes, what they carry, and what is made of them.
#
#   heliograph catalog check $name.yaml              is everything in order?
#   heliograph catalog show $name.checkout.stop $name.yaml
#   heliograph catalog python $name.yaml --output $name/events.py
#
# Keep what fits, replace what does not, and run `check` again: it names line and column of every
# fault, and says what would mend it.
catalog: $name
version: 0.1.0
brief: What $name does, event by event

# How settled all this is, unless an entry says otherwise: development, alpha, beta,
# release_candidate or stable. `heliograph catalog diff OLD NEW` tells when a change breaks users.
stability: development

# Everything events carry is declared here once and used by name below. Measurements are numbers
# with a unit in UCUM: s, ns, By (bytes), "{order}" for things counted. Metadata is all the rest.
fields:
  count: {type: int, unit: "{order}", brief: Orders concerned, examples: [1]}
  lines: {type: int, unit: "{line}", brief: Lines of the order, examples: [3]}
  waiting: {type: int, unit: "{order}", brief: Orders that wait to be packed, examples: [17]}

  # A field is exported as the OpenTelemetry attribute `$name.<key>`, unless it names another one.
  # An id has countless values: spans and log events carry it, metrics must not be split by it.
  order_id:
    type: string
    brief: Id of the order
    attribute: $name.order.id
    cardinality: high
    examples: [A-1047]
  # The few values of a closed set make good tags for metrics.
  method: {type: string, brief: How the customer pays, values: [card, invoice]}
  # Sensitive: handlers in this process see it, nothing is ever exported.
  customer: {type: string, brief: Name of the customer, sensitivity: sensitive, examples: [Ada]}
  # Ok(value) or Error(reason): how an operation ended. Metrics get `error.type` from it.
  result: {type: result, brief: "How the checkout ended, as Ok or Error"}

# Things that happen at one moment.
events:
  $name.order.placed:
    brief: A customer placed an order
    measurements: [count, lines]
    metadata: [order_id, method, "customer?"]      # a question mark: may be absent

  # The name this event had before. Whoever selects it through the catalog gets the new one.
  $name.order.created: {deprecated: {renamed_to: $name.order.placed}}

  # Reported every few seconds by a poller: a value for a metric, not worth a line in a log.
  $name.queue.depth:
    brief: Orders waiting at this moment
    measurements: [waiting]
    severity: debug
    log: false

# Things that take time. One entry declares three events: $name.checkout.start, .stop and
# .exception. Their times, the duration and the exception need no mention.
spans:
  $name.checkout:
    brief: An order is checked and paid
    kind: internal                                 # or client, server, producer, consumer
    metadata: [order_id, method]                   # carried by all three
    stop: {measurements: [lines], metadata: [result]}

# Numbers kept about events. Names have no unit and no "total" in them; the exporters know both.
metrics:
  $name.orders:
    brief: Orders placed
    instrument: sum
    event: $name.order.placed
    measurement: count
    tags: [method]
  $name.queue.length:
    brief: Orders waiting to be packed
    instrument: last_value
    event: $name.queue.depth
    measurement: waiting
  $name.checkout.duration:
    brief: Time a checkout takes
    instrument: histogram
    event: $name.checkout.stop
    measurement: duration
    unit: s                                        # measured in nanoseconds, exported in seconds
    tags: [method, error.type]
    buckets: [0.01, 0.05, 0.1, 0.5, 1, 5]
    # Becomes a Prometheus alert rule: heliograph catalog alerts $name.yaml
    alert:
      above: 1                                     # in the metric's unit
      quantile: 0.95
      over: 5m
      for: 10m
      summary: One checkout in twenty takes longer than a second
""")


def render(name: str) -> str:
    """A commented starter catalog.

    Args:
        name: Name of the catalog and first segment of everything in it, such as `shop`.

    Raises:
        ValueError: The name cannot be a catalog's; the message says why and what would do.
    """
    _refuse(name)
    return _TEXT.substitute(name=name)


def write(name: str, folder: str | os.PathLike[str] = ".") -> Path:
    """Write a starter catalog into a new file, `NAME.yaml`; the folder is made as needed.

    Returns:
        The file.

    Raises:
        FileExistsError: There is such a file; it is left as it is.
        ValueError: The name cannot be a catalog's.
        OSError: The file cannot be written.
    """
    text = render(name)
    path = Path(folder) / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        msg = f"{path} exists and is left as it is; remove it, or choose another name or folder"
        raise FileExistsError(msg) from error
    return path


def _refuse(name: str) -> None:
    if not _NAME.fullmatch(name):
        mended = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_").lstrip("0123456789_")
        mend = f"; {mended!r} would do" if mended else ""
        msg = (
            f"{name!r} cannot be a catalog's name: lower-case letters, digits and single "
            f"underscores, a letter first{mend}"
        )
        raise ValueError(msg)
    if keyword.iskeyword(name):
        msg = f"{name!r} cannot be a catalog's name: it is a word of Python's; 'my_{name}' would do"
        raise ValueError(msg)
    if name in semconv.load().namespaces:
        msg = (
            f"{name!r} cannot be a catalog's name: OpenTelemetry's semantic conventions use "
            f"{name}.* for something of their own; 'my_{name}' would do"
        )
        raise ValueError(msg)
    if name in installed():
        msg = (
            f"{name!r} cannot be a catalog's name: a catalog of that name is installed; "
            f"'my_{name}' would do"
        )
        raise ValueError(msg)
