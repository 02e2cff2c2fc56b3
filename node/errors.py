"""Faults of a node's own surroundings. They are caught in the entry point alone: logged once, then the process ends."""

from __future__ import annotations


class ConfigError(Exception):
    """The configuration or the home directory is not usable; the text says what to change."""


class SignerFault(Exception):
    """The validator key cannot be used safely."""
