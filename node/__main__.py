"""Entry point of a node process: `python -m node --home DIR`. The only place where faults are caught: logged once, then exit.

Exit codes: 0 stopped by a signal; 1 the disk, the key, the configuration or an upgrade needs the operator; any other is a crash.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Final

from node.config import load_config
from node.errors import ConfigError, SignerFault
from node.home import Home
from node.logs import EventLog, configure_logging
from node.running import run_node
from p2p.errors import ConfigError as NetworkConfigError
from state.errors import StorageFault, UpgradeNeeded
from state.keyfile import read_password

FAULTS: Final = (ConfigError, NetworkConfigError, SignerFault, StorageFault, UpgradeNeeded)


def main(arguments: list[str] | None = None) -> int:
    """Run a node and return the process' exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m node", description="Run one bocc node until it is signalled to stop."
    )
    parser.add_argument("--home", type=Path, required=True, help="the node's home, made by `bocc node init`")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="goes before config.toml")
    parser.add_argument("--password-file", type=Path, help="password of the validator key; also BOCC_PASSWORD_FILE")
    options = parser.parse_args(arguments)
    configure_logging("info", "text")
    log = EventLog("main")
    try:
        overrides = dict(_split(setting) for setting in options.set)
        config = load_config(options.home, overrides)
        configure_logging(config.log_level, config.log_format)
        run_node(Home(options.home), config, find_password(options.password_file))
    except FAULTS as fault:
        log.error("stopped", kind=type(fault).__name__, why=str(fault))  # noqa: TRY400  # the operator needs no traceback
        return 1
    except ExceptionGroup as group:
        faults = [fault for fault in flatten(group) if isinstance(fault, FAULTS)]
        if len(faults) != len(flatten(group)):
            raise
        log.error("stopped", kind=type(faults[0]).__name__, why=str(faults[0]))  # noqa: TRY400
        return 1
    return 0


def _split(setting: str) -> tuple[str, str]:
    name, separator, text = setting.partition("=")
    if not separator:
        raise ConfigError(f"--set {setting}: write NAME=VALUE")
    return name, text


def find_password(path: Path | None) -> bytes | None:
    """Return the password in the named file, or in that of BOCC_PASSWORD_FILE; None if no file is named.

    Raises:
        ConfigError: the file cannot be read.
    """
    named = path or os.environ.get("BOCC_PASSWORD_FILE")
    if named is None:
        return None
    try:
        return read_password(Path(named))
    except OSError as error:
        raise ConfigError(f"the password file {named} cannot be read: {error.strerror}") from error


def flatten(group: BaseExceptionGroup[Exception]) -> list[Exception]:
    """Return the faults inside nested groups."""
    found: list[Exception] = []
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            found += flatten(error)
        else:
            found.append(error)
    return found


if __name__ == "__main__":
    sys.exit(main())
