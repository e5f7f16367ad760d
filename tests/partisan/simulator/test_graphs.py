# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random

import pytest

from heliograph.partisan.simulator.graphs import components, figures


def test_figures_of_a_triangle_with_a_tail() -> None:
    graph = [[1, 2], [0, 2], [0, 1, 3], [2]]

    measured = figures(graph, 4, random.Random(1))

    assert measured.degrees == {1: 1, 2: 2, 3: 1}
    assert measured.in_degrees == {1: 1, 2: 2, 3: 1}
    assert measured.asymmetric == 0
    assert measured.components == 1
    assert measured.clustering == pytest.approx((1 + 1 + 1 / 3 + 0) / 4)
    assert measured.path == pytest.approx(16 / 12)
    assert measured.diameter == 2


def test_views_may_be_one_way_and_fall_apart() -> None:
    graph = [[1], [], [3], [2], []]

    measured = figures(graph, 5, random.Random(1))

    assert measured.asymmetric == 1
    assert measured.components == 3
    assert components(graph) == [2, 2, 1]
    assert measured.in_degrees == {0: 2, 1: 3}


def test_nobody_is_far_from_nobody() -> None:
    measured = figures([[]], 5, random.Random(1))

    assert (measured.path, measured.diameter, measured.clustering) == (0.0, 0, 0.0)
