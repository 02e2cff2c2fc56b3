"""`bocc health`: how a node is, by exit code, for service managers and containers."""

from __future__ import annotations

from typing import Any

import click

from bocc.cli.asking import ask
from bocc.cli.context import Context, common_options
from bocc.cli.failures import ExitCode
from bocc.cli.output import print_json, print_line
from bocc.errors import AnswerMalformed, NodeUnreachable, RpcRejected
from bocc.home import find_url
from bocc.testnet.health import probe_page


@click.command()
@common_options
def command(context: Context) -> int:
    """Tell whether a node is well.

    \b
    Exit codes: 0 alive and ready, 1 alive but not ready, 3 not alive or not reachable.
    """  # noqa: D301  \b is click's mark for lines that keep their breaks
    url = find_url(context.home, context.node)
    alive, ready = probe_page(url, "/livez"), probe_page(url, "/readyz")
    if not alive.is_good:
        code, word = ExitCode.UNREACHABLE, "not alive"
    elif not ready.is_good:
        code, word = ExitCode.REFUSED, "alive, not ready"
    else:
        code, word = ExitCode.DONE, "ready"
    upgrade = _find_upgrade(context) if alive.is_good else None
    if context.as_json:
        print_json({"url": url, "health": word, "livez": alive, "readyz": ready, "upgrade": upgrade})
    else:
        print_line(f"{url}: {word}")
        for probe in (alive, ready):
            if not probe.is_good:
                print_line(f"  {probe.detail}")
        if upgrade is not None and not upgrade["is_spoken"]:
            print_line(f"  too old for block {upgrade['height']}: install {upgrade['software']} before it")
    return code


def _find_upgrade(context: Context) -> dict[str, Any] | None:
    """Return the upgrade that is due, as far as the node tells."""
    try:
        upgrade: dict[str, Any] | None = ask(context, lambda client: client.status()).get("upgrade")
    except (NodeUnreachable, RpcRejected, AnswerMalformed):
        return None
    return upgrade
