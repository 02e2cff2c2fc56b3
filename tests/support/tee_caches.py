"""All that tee remembers between two calls, found by looking, so no cache can be left out."""

from __future__ import annotations

import importlib
import pkgutil
from functools import _lru_cache_wrapper

import tee


def find_caches() -> dict[str, _lru_cache_wrapper]:
    """Return every cache of the package by module and name."""
    modules = [importlib.import_module(f"tee.{module.name}") for module in pkgutil.iter_modules(tee.__path__)]
    found = {
        id(entry): (f"{module.__name__}.{name}", entry)
        for module in modules
        for name, entry in vars(module).items()
        if isinstance(entry, _lru_cache_wrapper)
    }
    return dict(found.values())


def clear_caches() -> None:
    """Forget everything, as in a process that has just started."""
    for cache in find_caches().values():
        cache.cache_clear()
