# SPDX-License-Identifier: Apache-2.0
"""Greets people, and says so."""

from __future__ import annotations

from heliograph import execute, span

WORDS = {"en": "Hello", "de": "Guten Tag"}


def greet(people: list[str], language: str = "en") -> list[str]:
    """Greet everybody in a room."""
    with span("greeting.round", {"language": language}):
        if not people:
            raise ValueError("there is nobody to greet")
        word = WORDS[language]
        execute("greeting.said", {"count": len(people)}, {"language": language})
        return [f"{word}, {each}" for each in people]
