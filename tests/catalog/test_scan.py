# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from heliograph.catalog.lint import LEVELS
from heliograph.catalog.loader import load_text
from heliograph.catalog.model import Document
from heliograph.catalog.scan import SCAN_RULES, Scan, scan

SHOP = """
catalog: shop
version: 1.0.0
brief: A shop
events:
  shop.order.placed: {brief: An order came in}
  shop.order.shipped: {brief: An order left}
  shop.order.made: {deprecated: {renamed_to: shop.order.placed}}
  shop.order.lost: {brief: Lost, deprecated: {note: Nothing is lost any more}}
spans:
  shop.payment: {brief: An order is paid}
"""
OTHER = "{catalog: other, version: 1.0.0, brief: Other, events: {other.thing: {brief: A thing}}}"

Project = Callable[..., Path]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Writes a file for each keyword, `shop__events` being shop/events.py, and says where."""

    def write(**files: str) -> Path:
        for name, text in files.items():
            path = tmp_path / f"{name.replace('__', '/', 1)}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text), encoding="utf-8")
        return tmp_path

    return write


def document() -> Document:
    return load_text(SHOP, "shop.yaml")


def scanned(folder: Path) -> Scan:
    return scan([folder], [document()], complete=[])


def names(folder: Path) -> list[str]:
    """What a folder executes, spans marked by a bracket."""
    return [
        f"{each.name}({'' if each.used else 'unused'})" if each.kind == "span" else each.name
        for each in scanned(folder).executions
        if each.used or each.kind == "span"
    ]


def rules(result: Scan) -> list[tuple[str, str]]:
    return [(finding.rule, finding.subject) for finding in result.findings]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import heliograph\nheliograph.execute('a.b', {})", ["a.b"]),
        ("import heliograph as h\nh.execute('a.b', {})", ["a.b"]),
        ("import heliograph.telemetry\nheliograph.telemetry.execute('a.b', {})", ["a.b"]),
        ("import heliograph.telemetry as t\nt.execute('a.b', {})", ["a.b"]),
        ("from heliograph import execute as emit\nemit('a.b', {})", ["a.b"]),
        ("from heliograph import telemetry\ntelemetry.execute('a.b', {})", ["a.b"]),
        ("from heliograph.telemetry import execute\nexecute(event='a.b')", ["a.b"]),
        ("from heliograph import execute\nexecute(measurements={})", ["*"]),
        ("from heliograph import execute\nexecute()", ["*"]),
        ("from heliograph import Event\nEvent('a.b').execute({})", ["a.b"]),
        ("from heliograph import Event\nEvent[int, str]('a.b').execute({})", ["a.b"]),
        ("from heliograph import Event\nE = Event('a.b')\nE.execute({})", ["a.b"]),
        ("from heliograph import Event\nE: Event = Event('a.b')\nemit(E)", ["a.b"]),
        ("from heliograph import Event\nif (E := Event('a.b')).handlers: pass", ["a.b"]),
        ("from heliograph import Event\nE = Event('a.b')\nprint(E.name)", []),
        ("from heliograph import Event, execute\nE = Event('a.b')\nexecute(E.name)", ["a.b"]),
        ("from heliograph import Event, execute\nE = Event('a.b')\nexecute(E.x)", ["*", "a.b"]),
        ("from heliograph import span\nwith span('a.b') as s: pass", ["a.b()"]),
        ("import heliograph\n@heliograph.traced('a.b')\ndef f(): pass", ["a.b()"]),
        ("from heliograph import Span\nwith Span(prefix='a.b')(): pass", ["a.b()"]),
        ("from heliograph import Span\nS = Span('a.b')", ["a.b(unused)"]),
        ("from heliograph import Span\nS = cast('Handle', Span('a.b'))", ["a.b(unused)"]),
        (
            "import typing\nfrom heliograph import Span\nS = typing.cast(Any, Span('a.b'))\nS()",
            ["a.b(unused)", "a.b()"],
        ),
        (
            "from heliograph import Span\nS = Span('a.b')\n@S\nasync def f(): pass",
            ["a.b(unused)", "a.b()"],
        ),
        (
            "from heliograph import Span\nS = Span('a.b')\nS.start.execute({})",
            ["a.b(unused)", "a.b.start"],
        ),
        ("from heliograph import Span, execute\nexecute(Span('a.b').prefix)", ["a.b", "a.b()"]),
        ("from heliograph import attach\nattach('id', 'a.b', print)", []),
        ("from heliograph import Ok\nOk('a.b')", []),
        ("from another import execute\nexecute('a.b', {})", []),
        ("cursor.execute('select a.b')", []),
        ("from heliograph import *\nexecute('a.b')", ["a.b"]),
    ],
)
def test_the_functions_and_classes_of_the_toolkit(
    project: Project, source: str, expected: list[str]
) -> None:
    assert names(project(main=source)) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("T = Telemetry()\nT.execute('a.b', {})", ["a.b"]),
        ("T = Telemetry()\nT.event('a.b').execute({})", ["a.b"]),
        ("T = Telemetry()\nT.spanning('a.b')({})", ["a.b()"]),
        ("T = Telemetry()\nT.span('a.b')", ["a.b()"]),
        ("T = Telemetry()\nT.attach('a.b')", []),
        ("def f(bus: Telemetry): bus.execute('a.b')", ["a.b"]),
        ("def f(bus: 'Telemetry | None' = None): bus.execute('a.b')", ["a.b"]),
        ("def f(bus: 'not a type'): bus.execute('a.b')", []),
        ("def f(bus: int): bus.execute('a.b')", []),
        ("bus: heliograph.Telemetry\nbus.execute('a.b')", ["a.b"]),
        ("class C:\n  def f(self): self._telemetry.execute('a.b')", ["a.b"]),
        ("def f(telemetry): telemetry.execute('a.b')", ["a.b"]),
        ("def f(): get().execute('a.b')", []),
        (
            """class C:
                def __init__(me): me.bus = Telemetry()
                def f(self): self.bus.execute('a.b')""",
            ["a.b"],
        ),
        ("class C:\n  def f(self): self.bus.execute('a.b')", []),
        (
            """class C:
                def __init__(self, name, bus: Telemetry | None = None):
                    self.sent = (default() if bus is None else bus).event('a.b')
                    self.got: Event = bus.event('a.c')
                    self.name += name
                def f(self): self.sent.execute({}); self.got.execute({})""",
            ["a.b", "a.c"],
        ),
        ("class C(Telemetry):\n  def f(self): self.execute('a.b'); self.x('a.b')", ["a.b"]),
        ("class MyTelemetry(x[0]):\n  def f(self): self.execute('a.b')", ["a.b"]),
        ("class C:\n  def f(self): self.execute('a.b')", []),
        ("class C:\n  def f(self, x): x.bus.execute('a.b')", []),
        ("(lambda self: self.bus.execute('a.b'))(1)", []),
        ("self.bus.execute('a.b')", []),
    ],
)
def test_dispatchers(project: Project, source: str, expected: list[str]) -> None:
    text = f"import heliograph\nfrom heliograph import Telemetry\n{source}"

    assert names(project(main=text)) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("p = Poller()\np.add('a.b', f)", [("a.b", False)]),
        ("p = Poller()\np.add('x', f, event='a.b')", [("a.b", True)]),
        ("p = Poller()\np.add(name='a.b', measure=f)", [("a.b", False)]),
        ("p = Poller()\np.remove('a.b')", []),
        ("p = heliograph.poller.Poller()\np.add('a.b', f)", [("a.b", False)]),
        ("async def f():\n  async with Poller(1) as p: p.add('a.b', f)", [("a.b", False)]),
        ("def f(p: Poller): p.add('a.b', f)", [("a.b", False)]),
        ("def f(poller): poller.add('a.b', f)", [("a.b", False)]),
        ("def f(self): self._poller.add('a.b', f)", [("a.b", False)]),
        ("def f(poller): poller.remove('a.b')", []),
        ("names.add('a.b')", []),
    ],
)
def test_pollers(project: Project, source: str, expected: list[tuple[str, bool]]) -> None:
    text = f"import heliograph.poller\nfrom heliograph.poller import Poller\n{source}"

    found = scanned(project(main=text)).executions

    assert [(each.name, each.certain) for each in found] == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("N = 'a.b'\nexecute(N)", ["a.b"]),
        ("N: str = 'a.b'\nexecute(N)", ["a.b"]),
        ("N: str\nexecute(N)", ["*"]),
        ("A, (B, *C) = 'a.b', x\nexecute(A); execute(B)", ["a.b", "*"]),
        ("[A, B] = 'a.b', 'a.c'\nexecute(B)", ["a.c"]),
        ("A, B = pair\nexecute(A)", ["*"]),
        ("P = 'a'\nexecute(P + '.b')", ["a.b"]),
        ("P = 'a'\nexecute(f'{P}.b')", ["a.b"]),
        ("P = 'a'\nexecute(f'{P!r}.b')", ["*.b"]),
        ("execute(f'a.{x}.b')", ["a.*.b"]),
        ("execute(x + '.b')", ["*.b"]),
        ("execute(x + y)", ["*"]),
        ("execute('a.b' if x else 'a.c')", ["a.b", "a.c"]),
        ("execute(E if x else N)", ["*"]),
        ("for n in ('a.b', 'a.c'): execute(n)", ["a.b", "a.c"]),
        ("for n in names: execute(n)", ["*"]),
        ("[execute(n) for n in ['a.b']]", ["a.b"]),
        ("async def f():\n  async for n in x: execute(n)", ["*"]),
        ("with open(x) as N: execute(N)", ["*"]),
        ("with open(x): execute('a.b')", ["a.b"]),
        ("N = 'a'\nN += '.b'\nexecute(N)", ["*", "a"]),
        ("N = N + '.b'\nexecute(N)", ["*.b"]),
        ("N = 'a.b'\ndef f(N): execute(N)", ["*"]),
        ("N = 'a.b'\ndef f(*, x=N, y): execute(x); execute(N)", ["*", "a.b"]),
        ("def f():\n  N = 'a.b'\n  def g(): execute(N)", ["a.b"]),
        ("f = lambda n='a.b': execute('a.c')", ["a.c"]),
        ("class C:\n  N = 'a.b'\n  execute(N)\n  def f(self): execute(self.N)", ["a.b", "a.b"]),
        ("class C:\n  N = 'a.b'\n  def f(self): execute(N)", ["*"]),
        ("class C:\n  N = 'a.b'\nexecute(C.N); execute(C.M)", ["a.b", "*"]),
        ("class C(D):\n  @staticmethod\n  def f(): x.y = 'a.b'; execute(x.y)", ["*"]),
        ("class C:\n  def f(self):\n    self.n['x'] = 'a.b'\n    self.n: str", []),
        ("def outer(self):\n  self.x = 'a.b'\n  execute(self.x)", ["*"]),
        ("def f():\n  from heliograph import execute as e\n  e('a.b')", ["a.b"]),
        ("execute('a.b'.lower())", ["*"]),
        ("execute(names['x'])", ["*"]),
        ("execute(1)", ["*"]),
        ("execute(" + "'' + " * 60 + "'a.b')", ["*a.b"]),
        ("execute(" + "(x or 'a')" + " + ('b' if x else 'c')" * 7 + ")", ["*"]),
    ],
)
def test_names_are_followed(project: Project, source: str, expected: list[str]) -> None:
    assert names(project(main=f"from heliograph import execute\n{source}")) == expected


def test_a_name_with_too_many_values_is_unknown(project: Project) -> None:
    values = ", ".join(f"'a.b{number}'" for number in range(70))
    source = f"from heliograph import execute\nfor n in ({values}): execute(n)"

    assert names(project(main=source)) == ["*"]


EVENTS = """
    from heliograph import Event, Span
    PLACED = Event("shop.order.placed")
    PAYMENT: Final = cast("PaymentHandle", Span("shop.payment"))
"""


@pytest.mark.parametrize(
    "source",
    [
        "from shop.events import PLACED\nPLACED.execute({})",
        "from shop.events import *\nPLACED.execute({})",
        "from shop import events\nevents.PLACED.execute({})",
        "import shop.events\nshop.events.PLACED.execute({})",
        "import shop.events as e\ne.PLACED.execute({})",
        "from .events import PLACED\nPLACED.execute({})",
        "from . import events as e\ne.PLACED.execute({})",
        "from ..shop.events import PLACED\nPLACED.execute({})",
        "from shop.names import N\nfrom heliograph import execute\nexecute(N)",
        "from shop.names import Names\nfrom heliograph import execute\nexecute(Names.N)",
        "from shop.names import emit\nemit('shop.order.placed')",
    ],
)
@pytest.mark.parametrize("package", [True, False])
def test_names_and_handles_are_followed_between_modules(
    project: Project, source: str, *, package: bool
) -> None:
    files = {
        "shop__events": EVENTS,
        "shop__names": """
            from heliograph import execute as emit
            PREFIX = "shop.order"
            N = PREFIX + ".placed"
            class Names:
                N = PREFIX + ".placed"
        """,
        "shop__main": source,
    }
    if package:
        files["shop____init__"] = ""

    result = scanned(project(**files))

    assert [each.name for each in result.executions if each.used] == ["shop.order.placed"]


@pytest.mark.parametrize(
    "source",
    [
        "from .nowhere import PLACED\nPLACED.execute({})",
        "from .events import MISSING\nMISSING.execute({})",
        "from . import missing\nmissing.PLACED.execute({})",
        "from elsewhere.shop import PLACED\nPLACED.execute({})",
        "from .......... import PLACED\nPLACED.execute({})",
        "from .main import PLACED\nPLACED.execute({})",
        "from .main import *\nPLACED.execute({})",
        "import shop\nshop.nothing.execute({})",
    ],
)
def test_what_cannot_be_followed_executes_nothing(project: Project, source: str) -> None:
    folder = project(shop____init__="", shop__events=EVENTS, shop__main=source)

    assert [each for each in scanned(folder).executions if each.used] == []


def test_a_handle_re_exported_by_its_package(project: Project) -> None:
    folder = project(
        shop____init__="from .events import PLACED",
        shop__events=EVENTS,
        main="import shop\nshop.PLACED.execute({})",
    )

    assert [each.name for each in scanned(folder).executions if each.used] == ["shop.order.placed"]


def test_among_modules_of_one_name_the_nearest_is_meant(project: Project) -> None:
    folder = project(
        one__events="N = 'one.a'",
        one__main="from events import N\nfrom heliograph import execute\nexecute(N)",
        two__events="N = 'two.a'",
        two__main="from events import N\nfrom heliograph import execute\nexecute(N)",
    )

    result = scan([folder / "one", folder / "two"], [], complete=[])

    assert [each.name for each in result.executions] == ["one.a", "two.a"]


def test_executions_say_where_they_are(project: Project) -> None:
    folder = project(main="import heliograph\n\nif 1:\n    heliograph.execute('a.b', {})\n")

    [execution] = scanned(folder).executions

    place = (execution.file, execution.line, execution.column)
    assert place == (str(folder / "main.py"), 4, 5)


# --- findings ---


def judged(project: Project, source: str) -> list[tuple[str, str]]:
    text = f"from heliograph import Event, Span, execute, span\n{source}"
    return rules(scanned(project(main=text)))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("execute('shop.order.placed')", []),
        ("execute('shop.payment.stop')", []),
        ("span('shop.payment')", []),
        ("execute('shop.order.plaecd')", [("unknown-event", "shop.order.plaecd")]),
        ("E = Event('shop.x')", [("unknown-event", "shop.x")]),
        ("span('shop.paymnt')", [("unknown-span", "shop.paymnt")]),
        ("span('shop.order.placed')", [("unknown-span", "shop.order.placed")]),
        ("execute('shop.payment')", [("unknown-event", "shop.payment")]),
        ("execute('shop.order.made')", [("deprecated-event", "shop.order.made")]),
        ("execute(f'shop.order.{x}')", [("dynamic-event", "shop.order.*")]),
        ("execute(x)", [("dynamic-event", "*")]),
        ("execute(f'store.{x}')", [("unknown-event", "store.*")]),
        ("span(f'store.{x}')", [("unknown-span", "store.*")]),
        ("E = Event(f'store.{x}')", []),
        ("poller.add('shop.order.placed', f)", []),
        ("poller.add('a-name-of-its-own', f)", []),
        ("poller.add('x', f, event='shop.x')", [("unknown-event", "shop.x")]),
    ],
)
def test_findings(project: Project, source: str, expected: list[tuple[str, str]]) -> None:
    assert judged(project, source) == expected


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("execute('shop.order.plaecd')", "did you mean 'shop.order.placed'"),
        ("execute('unheard.of')", "declare it, or name the catalog that does"),
        ("execute('shop.payment')", "a span has that name"),
        ("span('shop.order.placed')", "a point event has that name"),
        ("execute(f'store.{x}')", "'store.*' matches nothing in any catalog"),
        ("execute('shop.order.made')", "use 'shop.order.placed'"),
        ("execute('shop.order.lost')", "deprecated: Nothing is lost any more"),
    ],
)
def test_findings_name_the_mend(project: Project, source: str, words: str) -> None:
    text = f"from heliograph import execute, span\n{source}"

    [finding] = scanned(project(main=text)).findings

    assert words in finding.message
    assert finding.where is not None
    assert finding.where.line == 2


def unexecuted(folder: Path, complete: list[str] | None) -> list[str]:
    documents = [document(), load_text(OTHER, "other.yaml")]
    found = scan([folder], documents, complete).findings
    return [each.subject for each in found if each.rule == "unexecuted-event"]


def test_events_that_nothing_executes(project: Project) -> None:
    folder = project(main="from heliograph import execute\nexecute('shop.order.placed')")

    assert unexecuted(folder, ["shop"]) == ["shop.order.shipped", "shop.payment"]
    assert unexecuted(folder, ["other"]) == ["other.thing"]
    assert unexecuted(folder, []) == []


def test_only_catalogs_in_use_are_expected_to_be_used_up(project: Project) -> None:
    folder = project(main="from heliograph import execute\nexecute('shop.order.placed')")

    assert unexecuted(folder, None) == ["shop.order.shipped", "shop.payment"]


def test_a_defined_handle_executes_nothing(project: Project) -> None:
    folder = project(shop__events=EVENTS)

    assert unexecuted(folder, ["shop"]) == [
        "shop.order.placed",
        "shop.order.shipped",
        "shop.payment",
    ]


def test_one_event_of_a_span_is_enough(project: Project) -> None:
    folder = project(main="from heliograph import execute\nexecute('shop.payment.stop')")

    assert unexecuted(folder, ["shop"]) == ["shop.order.placed", "shop.order.shipped"]


def test_a_dynamic_name_may_execute_whatever_it_matches(project: Project) -> None:
    folder = project(main="from heliograph import execute\nexecute(f'shop.order.{x}')")

    assert unexecuted(folder, ["shop"]) == ["shop.payment"]


def test_a_name_of_which_nothing_is_known_executes_nothing(project: Project) -> None:
    folder = project(main="from heliograph import execute, span\nexecute(x)\nspan(x)")

    assert unexecuted(folder, ["shop"]) == [
        "shop.order.placed",
        "shop.order.shipped",
        "shop.payment",
    ]


@pytest.mark.parametrize("ignore", ["unknown-event", "unknown-event:shop.x"])
def test_deliberate_exceptions(project: Project, ignore: str) -> None:
    folder = project(main="from heliograph import execute\nexecute('shop.x')\nexecute('shop.y')")

    result = scan([folder], [document()], [], [ignore])

    expected = [] if ignore == "unknown-event" else [("unknown-event", "shop.y")]
    assert rules(result) == expected


def test_an_exception_from_an_unknown_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="did you mean 'unknown-event'"):
        scan([], [], ignore=["unkown-event"])


# --- files ---


@pytest.mark.parametrize(
    ("raw", "line", "words"),
    [
        (b"x = 1\ndef f(:\n", 2, "invalid syntax"),
        (b"x = '\0'\n", 1, "null bytes"),
        (b"x = '\xff'\n", 1, "utf-8"),
        (b"# coding: nonsense\n", 1, "nonsense"),
        (b"x = " + b"(" * 5000 + b")" * 5000, 1, "nested"),
        (b"x = 1" + b" + 1" * 50_000, 1, "recursion"),
        (b"x = 1" + b" + 1" * 400, 1, "nested too deeply"),
        (b"x = " + b"-" * 100_000 + b"1", 1, "too deeply nested to be read"),
    ],
)
def test_what_is_no_python_is_one_finding(
    project: Project, raw: bytes, line: int, words: str
) -> None:
    folder = project(main="from heliograph import execute\nexecute('shop.order.placed')")
    (folder / "broken.py").write_bytes(raw)

    result = scanned(folder)

    [finding] = result.findings
    assert finding.rule == "unreadable-source"
    assert words in finding.message
    assert finding.where is not None
    assert (finding.where.file, finding.where.line) == (str(folder / "broken.py"), line)
    assert result.files == (str(folder / "main.py"),)


def test_a_file_that_cannot_be_read_is_one_finding(project: Project) -> None:
    folder = project(main="")
    (folder / "gone.py").symlink_to(folder / "nowhere.py")

    [finding] = scanned(folder).findings

    assert (finding.rule, finding.subject) == ("unreadable-source", str(folder / "gone.py"))
    assert "No such file" in finding.message


def test_folders_of_others_are_left_alone(project: Project) -> None:
    folder = project(
        main="",
        env__main="",
        build__main="",
        deep__main="",
    )
    (folder / "env" / "pyvenv.cfg").write_text("")
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "main.py").write_text("")
    (folder / "notes.txt").write_text("no source")

    files = {Path(file).relative_to(folder).as_posix() for file in scanned(folder).files}

    assert files == {"main.py", "deep/main.py"}


def test_a_file_named_twice_is_read_once(project: Project) -> None:
    folder = project(main="from heliograph import execute\nexecute('a.b')")

    result = scan([folder, folder / "main.py"], [], [])

    assert result.files == (str(folder / "main.py"),)
    assert len(result.executions) == 1


def test_a_path_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        scan([tmp_path / "nowhere"], [])


def test_every_rule_has_a_level_and_says_what_it_is() -> None:
    for level, brief in SCAN_RULES.values():
        assert level in LEVELS
        assert brief
