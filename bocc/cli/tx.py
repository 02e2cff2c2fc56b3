"""`bocc tx`: build, sign and send transactions."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from bocc.cli.context import run
from bocc.cli.sending import POSITIVE_AMOUNT, Sending, sending_options
from bocc.cli.tx_files import FILE_COMMANDS
from state.address import parse_address
from state.messages import (
    SCOPES_ALL,
    AuthKey,
    Bond,
    BondAction,
    BondPurpose,
    Report,
    Scope,
    SetAuth,
    Transfer,
    consensus_key_signing_bytes,
)
from state.votes import VOTE_CODEC


class _Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    validator: str
    votes: tuple[str, str]


@click.group()
def command() -> None:
    """Send transactions.

    The fee is the smallest that the chain takes unless --fee gives another. The command waits until the transaction is final; with
    less time or a lower --wait it tells how far it came. The same command twice sends two transactions.

    Every command that sends takes --out FILE instead, where several must sign whose keys are not in one place: `show`, `sign` and
    `send` are for such files.
    """


@command.command()
@click.option("--to", required=True, metavar="ADDRESS|NAME", help="Who gets the money.")
@click.option("--amount", type=POSITIVE_AMOUNT, required=True, help="5 and 0.25 are BOCC, 5ubocc the smallest unit.")
@sending_options
def transfer(sending: Sending, to: str, amount: int) -> int:
    """Move money to an account."""
    return sending.send(Transfer(to=parse_address(sending.context.address(to)), amount=amount))


@command.command()
@click.option("--amount", type=POSITIVE_AMOUNT, required=True, help="Own stake to add.")
@click.option("--consensus-key", metavar="NAME", help="Key of kind validator; needed at the first bond of a validator.")
@click.option("--provider", "is_provider", is_flag=True, help="Bond as a provider instead of as a validator.")
@sending_options
def bond(sending: Sending, amount: int, consensus_key: str | None, is_provider: bool) -> int:
    """Lock money as the stake of a validator, or as the security of a provider."""
    if is_provider:
        if consensus_key:
            raise click.UsageError("a provider has no consensus key")
        return sending.send(_bond(BondAction.ADD, BondPurpose.PROVIDER, amount))
    if consensus_key is None:
        return sending.send(_bond(BondAction.ADD, BondPurpose.VALIDATOR, amount))
    key = sending.context.load_key(consensus_key, sending.password_file).signing_key()
    chain_id = run(_ask_chain_id(sending))
    proof = key.sign(consensus_key_signing_bytes(chain_id, parse_address(sending.sender)))
    message = _bond(BondAction.ADD, BondPurpose.VALIDATOR, amount)
    return sending.send(msgspec.structs.replace(message, consensus_key=key.public_key, proof=proof))


@command.command()
@click.option("--amount", type=POSITIVE_AMOUNT, required=True, help="Stake to release.")
@click.option("--validator", metavar="ADDRESS|NAME", help="Take back what was delegated to this validator.")
@click.option("--provider", "is_provider", is_flag=True, help="Take back from the security of a provider.")
@sending_options
def unbond(sending: Sending, amount: int, validator: str | None, is_provider: bool) -> int:
    """Release stake; the money returns after the unbonding delay."""
    if validator and is_provider:
        raise click.UsageError("give --validator or --provider, not both")
    if validator:
        return sending.send(_delegation(sending, BondAction.REMOVE, amount, validator))
    purpose = BondPurpose.PROVIDER if is_provider else BondPurpose.VALIDATOR
    return sending.send(_bond(BondAction.REMOVE, purpose, amount))


@command.command()
@click.option("--validator", required=True, metavar="ADDRESS|NAME", help="Whom to entrust with it.")
@click.option("--amount", type=POSITIVE_AMOUNT, required=True)
@sending_options
def delegate(sending: Sending, validator: str, amount: int) -> int:
    """Entrust stake to a validator for a share of its rewards, and of its slashes."""
    return sending.send(_delegation(sending, BondAction.ADD, amount, validator))


@command.command()
@click.option("--validator", metavar="ADDRESS|NAME", help="Rewards of a delegation; own rewards without.")
@sending_options
def claim(sending: Sending, validator: str | None) -> int:
    """Move rewards earned so far to the balance."""
    if validator:
        return sending.send(_delegation(sending, BondAction.CLAIM, 0, validator))
    return sending.send(_bond(BondAction.CLAIM, BondPurpose.VALIDATOR, 0))


@command.command()
@sending_options
def unjail(sending: Sending) -> int:
    """Return a jailed validator to the candidates after its jail time."""
    return sending.send(_bond(BondAction.UNJAIL, BondPurpose.VALIDATOR, 0))


@command.command(name="set-auth")
@click.option("--key", "keys", multiple=True, required=True, metavar="NAME|HEX[:WEIGHT[:SCOPES]]", help="Repeatable.")
@click.option("--threshold", type=click.IntRange(1, 16_000_000), default=1, show_default=True)
@click.option("--guardian", "guardians", multiple=True, metavar="ADDRESS|NAME", help="Repeatable.")
@click.option("--guardian-quorum", type=click.IntRange(0, 8), default=0, show_default=True)
@click.option("--recover", metavar="ADDRESS|NAME", help="Account to recover as its guardian, instead of one's own.")
@sending_options
def set_auth(
    sending: Sending,
    keys: tuple[str, ...],
    threshold: int,
    guardians: tuple[str, ...],
    guardian_quorum: int,
    recover: str | None,
) -> int:
    """Replace the keys of an account.

    SCOPES are joined by +, from fund, own, grant, operate, govern; all of them without. A change that weakens control waits for
    the chain's delay and can be cancelled by a later set-auth.
    """
    context = sending.context
    auth_keys = sorted((_parse_auth_key(sending, text) for text in keys), key=lambda one: one.public_key)
    message = SetAuth(
        account=parse_address(context.address(recover) if recover else sending.sender),
        keys=tuple(auth_keys),
        threshold=threshold,
        guardians=tuple(sorted(parse_address(context.address(one)) for one in guardians)),
        guardian_quorum=guardian_quorum,
    )
    return sending.send(message)


@command.command()
@click.argument("evidence", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@sending_options
def report(sending: Sending, evidence: Path) -> int:
    """Convict a validator of two conflicting votes.

    EVIDENCE is a JSON file with the validator's address and both votes as hex of their canonical bytes:
    {"validator": "bocc1...", "votes": ["...", "..."]}
    """
    try:
        document = msgspec.json.decode(evidence.read_bytes(), type=_Evidence)
        first, second = sorted(bytes.fromhex(vote) for vote in document.votes)
    except (msgspec.MsgspecError, ValueError) as error:
        raise click.UsageError(f"{evidence} is no evidence: {error}") from error
    message = Report(
        validator=sending.context.validator_address(document.validator),
        first=VOTE_CODEC.decode(first),
        second=VOTE_CODEC.decode(second),
    )
    return sending.send(message)


async def _ask_chain_id(sending: Sending) -> bytes:
    async with sending.context.client() as client:
        return await client.chain_id()


def _bond(action: BondAction, purpose: BondPurpose, amount: int, validator: bytes = b"") -> Bond:
    return Bond(action=action, purpose=purpose, amount=amount, validator=validator, consensus_key=b"", proof=b"")


def _delegation(sending: Sending, action: BondAction, amount: int, validator: str) -> Bond:
    return _bond(action, BondPurpose.DELEGATE, amount, sending.context.validator_address(validator))


def _parse_auth_key(sending: Sending, text: str) -> AuthKey:
    """Return the key of NAME|HEX[:WEIGHT[:SCOPES]]."""
    name, _, rest = text.partition(":")
    weight, _, scopes = rest.partition(":")
    try:
        public_key = sending.context.public_key(name)
        flags = [Scope[scope.strip().upper()] for scope in scopes.split("+")] if scopes else [Scope(SCOPES_ALL)]
        return AuthKey(public_key=public_key, weight=int(weight or "1"), scopes=sum(set(flags)))
    except (ValueError, KeyError) as error:
        raise click.BadParameter(f"{text}: {error}", param_hint="--key") from error


for file_command in FILE_COMMANDS:
    command.add_command(file_command)
