"""`bocc provider`: prove confidential hardware to a chain."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from bocc.cli.asking import ask
from bocc.cli.context import Context, common_options, password_option, run
from bocc.cli.failures import ExitCode
from bocc.cli.output import format_time, print_fields, print_json, print_line
from bocc.cli.query_trust import print_enclaves, print_forecasts
from bocc.cli.sending import POSITIVE_AMOUNT, Sending, print_outcome, sending_options
from bocc.client import Client
from bocc.home import find_url
from bocc.provider.agent import SoftwareProvider, choose_node, find_enclave, provider_bond
from bocc.provider.attesting import (
    Challenge,
    EnclaveNames,
    agreement_bytes,
    build_attest,
    parse_resource,
    take_challenge,
)
from bocc.provider.evidence import read_evidence, read_gpu
from bocc.provider.place import SIMULATED, provider_home
from bocc.provider.rules import open_rules
from bocc.testnet.record import load_record, record_path
from node.logs import configure_logging
from state.address import parse_address
from state.crypto import SigningKey
from state.trust_messages import Attest, GpuEvidence

_PAGE: Final = 25
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)

gpu_option = click.option(
    "--gpu",
    "gpu_files",
    type=(_FILE, _FILE),
    multiple=True,
    metavar="REPORT CHAIN",
    help="A GPU's evidence. Repeatable.",
)


class HexType(click.ParamType[bytes]):
    """Bytes of a fixed size in hex."""

    name = "HEX"

    def __init__(self, size: int) -> None:
        self.size = size

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        """Return the bytes."""
        if isinstance(value, bytes):
            return value
        try:
            octets = bytes.fromhex(str(value))
        except ValueError as error:
            self.fail(f"{value}: {error}", param, ctx)
        if len(octets) != self.size:
            self.fail(f"{len(octets)} bytes, not {self.size}", param, ctx)
        return octets


@click.group()
def command() -> None:
    """Prove confidential hardware to a chain, and see how it stands.

    \b
    Real hardware, in three steps:
      bocc provider challenge ...   prints the 64 bytes of report data
      in the guest: ask the hardware for evidence over them
      bocc provider attest --evidence FILE ...

    On development chains `bocc provider attest --from NAME` alone attests a SIMULATED machine: it shows the way and proves nothing.
    `bocc provider run --from NAME` keeps it attested and serves orders with it, by the rules in provider.toml.
    """  # noqa: D301  \b is click's mark for lines that keep their breaks


@command.command()
@click.option("--operator", required=True, metavar="ADDRESS|NAME", help="Account that owns the machine and will send.")
@click.option("--hardware", required=True, metavar="RESOURCE", help="The machine, as published.")
@click.option("--sign-key", type=HexType(32), required=True, help="Ed25519 key of the enclave.")
@click.option("--seal-key", type=HexType(32), required=True, help="X25519 key of the enclave.")
@click.option("--height", type=click.IntRange(min=1), help="Block to bind.  [default: the newest]")
@click.option("--save", "path", type=click.Path(path_type=Path, dir_okay=False), help="Write the 64 bytes to a file.")
@gpu_option
@common_options
def challenge(
    context: Context,
    operator: str,
    hardware: str,
    sign_key: bytes,
    seal_key: bytes,
    height: int | None,
    path: Path | None,
    gpu_files: tuple[tuple[Path, Path], ...],
) -> None:
    """Print the 64 bytes of report data that evidence must carry, and the nonce for GPUs.

    They go into REPORTDATA of a quote, REPORT_DATA of an SNP report, user_data of a Nitro document. With GPUs: ask those first with
    the nonce, then call this again with the same --height and their evidence, which the report data bind.
    """
    names = EnclaveNames(
        operator=parse_address(context.address(operator)),
        hardware=parse_resource(hardware),
        image=b"",
        release=0,
        tee=0,
        sign_key=sign_key,
        seal_key=seal_key,
    )
    taken = ask(context, lambda client: take_challenge(client, height))
    octets = taken.report_data(names, tuple(read_gpu(*files) for files in gpu_files))
    if path is not None:
        path.write_bytes(octets)
    told = {
        "report_data": octets.hex(),
        "gpu_nonce": taken.gpu_nonce(sign_key).hex(),
        "challenge_height": taken.height,
        "challenge_hash": taken.block_hash.hex(),
        "enclave": names.enclave,
    }
    if context.as_json:
        print_json(told)
    else:
        print_fields(told)


@command.command()
@click.option("--evidence", "evidence_path", type=_FILE, help="Quote, SNP report or Nitro document of real hardware.")
@click.option("--certificate", "certificate_path", type=_FILE, help="VEK of an SNP report, if it is not behind it.")
@click.option("--hardware", metavar="RESOURCE", help="The machine, as published.")
@click.option("--image", metavar="RESOURCE", help="The software that booted, as published.")
@click.option("--release", type=click.IntRange(min=0), default=0, show_default=True, help="Of the image.")
@click.option("--challenge-height", type=click.IntRange(min=1), help="As `bocc provider challenge` told.")
@click.option("--sign-key", type=HexType(32), help="Ed25519 key of the enclave.")
@click.option("--seal-key", type=HexType(32), help="X25519 key of the enclave.")
@click.option("--signature", type=HexType(64), help="The enclave's agreement.")
@click.option(
    "--enclave-key", "enclave_name", metavar="NAME", help="In place of the two: the enclave's key, if it is here."
)
@click.option("--machine", metavar="NAME", help=f"Name of the {SIMULATED} machine.  [default: that of the key]")
@gpu_option
@sending_options
def attest(
    sending: Sending,
    evidence_path: Path | None,
    certificate_path: Path | None,
    hardware: str | None,
    image: str | None,
    release: int,
    challenge_height: int | None,
    sign_key: bytes | None,
    seal_key: bytes | None,
    signature: bytes | None,
    enclave_name: str | None,
    machine: str | None,
    gpu_files: tuple[tuple[Path, Path], ...],
) -> int:
    """Prove that an enclave runs a release on a machine, or renew the proof.

    Without --evidence the software TEE makes it: documents, machine and image are brought to the chain first if they are
    missing. It proves nothing, and only development chains take it.
    """
    if evidence_path is None:
        given = (certificate_path, hardware, image, challenge_height, sign_key, seal_key, signature, enclave_name)
        if any(each is not None for each in given) or gpu_files:
            raise click.UsageError("these options belong to the evidence of real hardware: give --evidence")
        if sending.out is not None:
            raise click.UsageError("the software TEE sends what it makes: leave out --out")
        return run(_attest_software(sending, machine or sending.name))
    if hardware is None or image is None or challenge_height is None or seal_key is None:
        raise click.UsageError("--evidence needs --hardware, --image, --challenge-height and --seal-key")
    key = None if enclave_name is None else sending.context.load_key(enclave_name, sending.password_file).signing_key()
    if key is None and sign_key is None:
        raise click.UsageError("--evidence needs --enclave-key, or --sign-key and --signature")
    kind, evidence = read_evidence(evidence_path, certificate_path)
    names = EnclaveNames(
        operator=parse_address(sending.sender),
        hardware=parse_resource(hardware),
        image=parse_resource(image),
        release=release,
        tee=int(kind),
        sign_key=key.public_key if key is not None else sign_key or b"",
        seal_key=seal_key,
    )
    gpus = tuple(read_gpu(*files) for files in gpu_files)
    return run(_attest_real(sending, names, challenge_height, evidence, signature or key, gpus))


async def _attest_real(
    sending: Sending,
    names: EnclaveNames,
    height: int,
    evidence: bytes,
    agreement: bytes | SigningKey | None,
    gpus: tuple[GpuEvidence, ...],
) -> int:
    async with sending.context.client() as client:
        taken = await take_challenge(client, height)
        if agreement is None:
            _print_agreement(sending.context, taken, names, evidence)
            return ExitCode.USAGE
        return await _send(sending, client, build_attest(names, taken, evidence, agreement, gpus))


def _print_agreement(context: Context, taken: Challenge, names: EnclaveNames, evidence: bytes) -> None:
    """Print what the enclave must sign before this can be sent."""
    to_sign = agreement_bytes(taken, names, evidence).hex()
    if context.as_json:
        print_json({"to_sign": to_sign, "sign_key": names.sign_key.hex()})
    else:
        print_line(
            f"Let the enclave sign these bytes with its key {names.sign_key.hex()}, and give --signature:\n{to_sign}"
        )


async def _attest_software(sending: Sending, machine: str) -> int:
    key, context = sending.key.signing_key(), sending.context
    provider = SoftwareProvider(provider_home(context.home, machine), key, machine)
    if provider.operator != parse_address(sending.sender):
        raise click.UsageError("the software TEE attests for the account of its own key: leave out --account")
    if not context.as_json:
        print_line(f"{SIMULATED}: this machine exists in software alone; what it proves is worth nothing.")
    async with context.client() as client:
        done, published = await provider.prepare(client, time.time_ns() // 1_000_000)
        if done and not context.as_json:
            print_line(f"Brought to the chain first: {', '.join(done)}")
        return await _send(sending, client, await provider.message(client, published))


async def _send(sending: Sending, client: Client, message: Attest) -> int:
    """Send an attestation and print what became of it and of its enclave; or only try it."""
    if sending.sends_nothing:
        return await sending.send_messages((message,))
    outcome = await client.send(
        sending.key.signing_key(),
        (message,),
        sender=sending.sender,
        cosigners=sending.cosigners,
        fee=sending.fee,
        memo=sending.memo,
        wait=sending.wait,
        timeout_s=sending.timeout_s,
    )
    address = EnclaveNames(
        operator=b"", hardware=b"", image=b"", release=0, tee=0, sign_key=message.sign_key, seal_key=b""
    ).enclave
    enclave = await find_enclave(client, address) if outcome.has_succeeded else None
    if sending.context.as_json:
        print_json({**msgspec.to_builtins(outcome), "enclave": enclave})
        has_failed = outcome.receipt is not None and outcome.receipt.get("status") != "ok"
        return (
            ExitCode.REFUSED if has_failed else ExitCode.DONE if outcome.has_reached(sending.wait) else ExitCode.PENDING
        )
    code = print_outcome(sending.context, outcome, sending.wait)
    if enclave is not None:
        print_line(_describe(enclave))
    return code


def _describe(enclave: dict[str, Any]) -> str:
    """Return one line about an enclave."""
    simulated = f"{SIMULATED} " if enclave["is_simulated"] else ""
    until = format_time(enclave["expires_ms"])
    return f"{simulated}{enclave['id']}: {enclave['state']}, level {enclave['level']}, until {until}"


@command.command()
@click.argument("amount", type=POSITIVE_AMOUNT)
@sending_options
def bond(sending: Sending, amount: int) -> int:
    """Lock AMOUNT as security for the promises of a provider's plans; orders that are accepted set a part of it aside."""
    return sending.send(provider_bond(amount))


@command.command(name="run")
@click.option("--from", "name", required=True, metavar="NAME", help="Key of the operator, in this home.")
@click.option("--machine", metavar="NAME", help=f"Name of the {SIMULATED} machine.  [default: that of the key]")
@click.option("--image", metavar="RESOURCE", help="Software that it boots, in place of that in provider.toml.")
@password_option
@common_options
def serve(context: Context, name: str, machine: str | None, image: str | None, password_file: Path | None) -> None:
    """Keep a simulated machine attested, and serve orders with it until stopped.

    Which orders it takes, and on which terms, stands in provider-NAME/provider.toml of this home, written at the first start.
    """
    key = context.load_key(name, password_file).signing_key()
    machine = machine or name
    home = provider_home(context.home, machine)
    rules = open_rules(home)
    if image is not None:
        parse_resource(image)
        rules = msgspec.structs.replace(rules, image=image)
    provider = SoftwareProvider(home, key, machine, rules)
    configure_logging("info", "json" if context.as_json else "text")
    run(provider.run(lambda failures: _url(context, failures), [context.home]))


def _url(context: Context, failures: int) -> str:
    """Return the node to talk to: the one that was named, or another one of the home's network after each failure."""
    if context.node is None and record_path(context.home).exists():
        return choose_node(load_record(context.home), failures)
    return find_url(context.home, context.node)


@command.command()
@click.option("--operator", metavar="ADDRESS|NAME", help="Whose enclaves.  [default: the local network's provider]")
@common_options
def status(context: Context, operator: str | None) -> int:
    """Show an operator's enclaves and what is in store for them. Exit code 1 if one is not good."""
    address = context.address(operator) if operator is not None else _local_operator(context)
    enclaves, forecasts = ask(context, lambda client: _ask_status(client, address))
    if context.as_json:
        print_json({"operator": address, "enclaves": enclaves, "forecasts": forecasts})
    elif enclaves:
        print_enclaves(enclaves)
        print_line("")
        print_forecasts(forecasts)
    else:
        print_line(f"{address} has attested no enclave.")
    return ExitCode.DONE if enclaves and all(one["is_usable"] for one in enclaves) else ExitCode.REFUSED


def _local_operator(context: Context) -> str:
    """Return the address of the first provider of the network in the home."""
    providers = load_record(context.home).providers if record_path(context.home).exists() else ()
    if not providers:
        raise click.UsageError("there is no local provider: give --operator")
    return providers[0].address


async def _ask_status(client: Client, operator: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return all enclaves of an operator, and their forecasts."""
    found: dict[str, list[dict[str, Any]]] = {"enclaves": [], "forecasts": []}
    for method, part in (("enclaves", "enclaves"), ("forecast", "forecasts")):
        cursor: str | None = None
        while True:
            page = await client.call(method, operator=operator, limit=_PAGE, cursor=cursor)
            found[part] += page[part]
            cursor = page["cursor"]
            if cursor is None:
                break
    return found["enclaves"], found["forecasts"]
