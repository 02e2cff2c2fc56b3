"""The provider process of a local network: `python -m bocc.provider --home HOME`, as `bocc testnet up` starts it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from bocc.provider.agent import SoftwareProvider, choose_node
from bocc.testnet.record import load_record
from bocc.wallet import Keyring
from node.logs import configure_logging


@click.command()
@click.option("--home", type=click.Path(path_type=Path), required=True)
def main(home: Path) -> None:
    """Keep the simulated machine of a local network attested, and serve orders with it, until stopped."""
    configure_logging("info", "text")
    record = load_record(home).provider
    if record is None:
        raise click.ClickException(f"{home} has no provider")
    key = Keyring(home).load(record.name).signing_key()
    provider = SoftwareProvider(Path(record.home), key, record.name)
    asyncio.run(provider.run(lambda failures: choose_node(load_record(home), failures), [home]))


if __name__ == "__main__":
    main()
