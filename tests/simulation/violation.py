"""What a simulation raises when an invariant of the protocol does not hold."""

from __future__ import annotations


class Violation(AssertionError):
    """An invariant does not hold."""

    def __init__(self, law: str, text: str) -> None:
        """Name the law that is broken."""
        super().__init__(f"{law}: {text}")
        self.law = law
