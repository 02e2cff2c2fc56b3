"""A provider process of a local network: `python -m bocc.provider --home HOME --name NAME`, as `bocc testnet up` starts it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final

import click
import msgspec

from bocc.errors import InputRejected
from bocc.provider.agent import SoftwareProvider, choose_node
from bocc.provider.place import load_published
from bocc.provider.rules import Rules, open_rules
from bocc.testnet.record import PROVIDER_NAME, ProviderRecord, TestnetRecord, load_record
from bocc.wallet import Keyring
from node.logs import configure_logging

_POLL_S: Final = 0.2


@click.command()
@click.option("--home", type=click.Path(path_type=Path), required=True)
@click.option("--name", default=PROVIDER_NAME)
def main(home: Path, name: str) -> None:
    """Keep a simulated machine of a local network attested, and serve orders with it, until stopped."""
    configure_logging("info", "text")
    network = load_record(home)
    record = next((one for one in network.providers if one.name == name), None)
    if record is None:
        raise click.ClickException(f"{home} has no provider {name}")
    key = Keyring(home).load(record.name).signing_key()
    try:
        rules = _rules_of(network, record)
    except InputRejected as rejected:
        raise click.ClickException(str(rejected)) from rejected
    provider = SoftwareProvider(Path(record.home), key, record.name, rules)
    asyncio.run(provider.run(lambda failures: choose_node(load_record(home), failures), [home]))


def _rules_of(network: TestnetRecord, record: ProviderRecord) -> Rules:
    """Return the rules of a provider; all boot the image of the first, so that each may go on with another's orders."""
    rules, first = open_rules(Path(record.home)), network.providers[0]
    if record.name == first.name or rules.image:
        return rules
    while (published := load_published(Path(first.home), bytes.fromhex(network.chain_id))) is None:
        time.sleep(_POLL_S)
    return msgspec.structs.replace(rules, image=published.image)


if __name__ == "__main__":
    main()
