"""Laws of `bocc collateral`, `bocc provider` and the queries of trust, against a node that is played."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner

from bocc.cli import collateral, provider, query
from bocc.cli.failures import ExitCode
from bocc.provider.attesting import Challenge, EnclaveNames, agreement_bytes
from bocc.wallet import Keyring, development_key, development_seed
from state.address import account_address, format_address
from state.crypto import SigningKey
from state.keyfile import KeyKind
from state.messages import Attest, PutCollateral
from tee.simulated import SimulatedVendor
from tests.support.fake_chain import CHAIN_ID, FakeChain
from tests.support.fake_node import FakeNode, fake_node_in_thread

ALICE = account_address(development_key(KeyKind.ACCOUNT, 0).public_key)
HARDWARE, IMAGE = (bytes((1, *bytes([number]) * 20)) for number in (1, 2))
ENCLAVE_KEY = SigningKey(bytes([9]) * 32)
SEAL_KEY = bytes([8]) * 32
CHALLENGE = Challenge(CHAIN_ID, 7, b"\x22" * 32)
NAMES = EnclaveNames(
    operator=ALICE,
    hardware=HARDWARE,
    image=IMAGE,
    release=3,
    tee=2,
    sign_key=ENCLAVE_KEY.public_key,
    seal_key=SEAL_KEY,
)
VENDOR = SimulatedVendor()
QUOTE = VENDOR.machine("m").quote(CHALLENGE.report_data(NAMES))
GOOD = {"ok": True, "checks": [{"name": "all", "ok": True}]}
NOTICE = "SIMULATED: the software TEE proves nothing about any hardware"
ENCLAVE = {
    "id": NAMES.enclave,
    "height": 7,
    "tee": "tdx",
    "hardware": format_address(HARDWARE),
    "state": "trusted",
    "reason": None,
    "level": 1,
    "is_usable": True,
    "is_simulated": True,
    "notice": NOTICE,
    "attested_ms": 1_750_000_000_000,
    "expires_ms": 1_750_600_000_000,
    "claims": {"kind": "tdx_claims"},
    "proof": None,
}
FORECAST = {
    "enclave": NAMES.enclave,
    "state": "trusted",
    "standing": 5,
    "falls": True,
    "state_then": "suspended",
    "standing_then": 2,
    "due_ms": 1_753_000_000_000,
    "shortages": [{"component": "PCE", "seen": 11, "needed": 12}],
    "overdue_ms": None,
    "is_simulated": True,
}


@pytest.fixture(scope="module")
def shared_node():
    with fake_node_in_thread() as node:
        yield node


@pytest.fixture
def node(shared_node: FakeNode) -> FakeNode:
    shared_node.methods.clear()
    shared_node.calls.clear()
    return shared_node


@pytest.fixture
def chain(node):
    played = FakeChain(node)
    node.methods |= {
        "explain": lambda **_tx: GOOD,
        "block": lambda **_height: {"height": 7, "hash": "22" * 32},
        "enclave": lambda **_id: ENCLAVE,
        "enclaves": lambda **_page: {"enclaves": [ENCLAVE], "cursor": None},
        "forecast": lambda **_page: {"forecasts": [FORECAST], "cursor": None},
    }
    return played


@pytest.fixture
def run(node, tmp_path):
    ring = Keyring(tmp_path)
    ring.add("alice", development_seed(KeyKind.ACCOUNT, 0), KeyKind.ACCOUNT, None)
    ring.add("enclave", bytes([9]) * 32, KeyKind.PROVIDER, None)

    def invoke(group, *arguments):
        texts = [*(str(argument) for argument in arguments), "--home", str(tmp_path), "--node", node.url]
        return CliRunner().invoke(group.command, texts, standalone_mode=False)

    return invoke


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "documents"
    path.mkdir()
    for name, content in VENDOR.collateral(1_750_000_000).files().items():
        (path / name).write_bytes(content)
    return path


@pytest.fixture
def quote(tmp_path: Path) -> Path:
    path = tmp_path / "quote.bin"
    path.write_bytes(QUOTE)
    return path


def attest_options(quote: Path, *more: object) -> tuple[object, ...]:
    return (
        *("attest", "--from", "alice", "--evidence", quote),
        *("--hardware", format_address(HARDWARE), "--image", format_address(IMAGE), "--release", 3),
        *("--challenge-height", 7, "--seal-key", SEAL_KEY.hex(), *more),
    )


def sent(chain: FakeChain) -> list[object]:
    return [message for one in chain.taken.values() for message in one.body.messages]


def test_folder_is_put_in_order_one_transaction_each(run, chain, folder):
    ended = run(collateral, "put", folder, "--from", "alice", "--json")
    assert ended.return_value == ExitCode.DONE
    assert [(message.kind, type(message)) for message in sent(chain)] == [
        (kind, PutCollateral) for kind in (1, 2, 3, 4)
    ]
    assert [one["result"] for one in json.loads(ended.stdout)] == ["stored"] * 4
    assert len(chain.taken) == 4


@pytest.mark.parametrize(
    ("reason", "result", "code"),
    [
        ("collateral_not_newer", "known", ExitCode.DONE),
        ("number_too_low", "known", ExitCode.DONE),
        ("root_crl_expired", "refused", ExitCode.REFUSED),
    ],
)
def test_document_that_the_chain_has_or_would_refuse_is_not_sent(run, chain, node, folder, reason, result, code):
    failed = {"name": "m", "ok": False, "reason": reason, "seen": "1", "bound": "2", "remedy": "fetch it anew"}
    node.methods["explain"] = lambda **_tx: {"ok": False, "checks": [{"name": "size", "ok": True}, failed]}
    ended = run(collateral, "put", folder / "root_ca_crl.der", "--from", "alice", "--json")
    assert ended.return_value == code
    assert [(one["result"], one["reason"]) for one in json.loads(ended.stdout)] == [(result, reason)]
    assert not chain.taken


@pytest.mark.parametrize("is_known", [False, True])
def test_document_too_large_for_a_dry_run_is_sent_unless_the_chain_has_it(run, chain, node, folder, is_known):
    untried = {"name": "m", "ok": False, "reason": "too_much_work", "seen": "90000", "bound": "9000", "remedy": "send"}
    path = folder / "root_ca_crl.der"
    has = sha256(path.read_bytes()).hexdigest() if is_known else "00" * 32
    node.methods |= {
        "explain": lambda **_tx: {"ok": False, "checks": [untried]},
        "collaterals": lambda **_page: {"collaterals": [{"body_hash": has}], "cursor": None},
    }
    ended = run(collateral, "put", path, "--from", "alice", "--json")
    assert ended.return_value == ExitCode.DONE
    assert [one["result"] for one in json.loads(ended.stdout)] == ["known" if is_known else "stored"]
    assert len(sent(chain)) == (0 if is_known else 1)


def test_document_that_fails_in_its_block_is_a_refusal_unless_somebody_was_faster(run, chain, folder):
    chain.receipt |= {"status": "failed", "reason": "collateral_not_newer"}
    assert run(collateral, "put", folder / "root_ca_crl.der", "--from", "alice").return_value == ExitCode.DONE
    chain.receipt |= {"reason": "root_crl_signature"}
    ended = run(collateral, "put", folder / "root_ca_crl.der", "--from", "alice")
    assert ended.return_value == ExitCode.REFUSED
    assert "refused at height 7" in ended.stdout
    assert "root_crl_signature" in ended.stdout


def test_document_that_is_not_final_in_time_is_pending(run, chain, folder):
    chain.status = "pending"
    chain.wait = lambda tx_id, **_: chain.outcome(tx_id)
    ended = run(collateral, "put", folder / "root_ca_crl.der", "--from", "alice", "--json")
    assert ended.return_value == ExitCode.PENDING


def test_documents_are_listed_with_marks_and_saved(run, node, tmp_path):
    one = {
        "kind": "intel_tcb_info",
        "number": 20,
        "tee": "tdx",
        "fmspc": "ff00ff00ff00",
        "issued_ms": 1_750_000_000_000,
        "next_update_ms": 1_752_000_000_000,
        "is_simulated": True,
        "is_early": True,
        "is_overdue": False,
        "notice": NOTICE,
        "key": "03" * 29,
        "body": "7b7d",
        "chain": [],
    }
    node.methods |= {
        "collaterals": lambda **_page: {"collaterals": [one], "cursor": "7"},
        "collateral": lambda **_key: one,
    }
    listed = run(collateral, "list").stdout
    assert all(
        word in listed for word in ("SIMULATED early", "tdx ff00ff00ff00", "2025-06-15", "03" * 29, "--cursor 7")
    )
    shown = run(collateral, "show", "03" * 29, "--save", tmp_path / "out.json")
    assert shown.stdout.startswith(NOTICE)
    assert (tmp_path / "out.json").read_bytes() == b"{}"


def test_challenge_is_the_report_data_that_the_chain_will_compute(run, chain, tmp_path):
    options = ("--operator", "alice", "--hardware", format_address(HARDWARE), "--seal-key", SEAL_KEY.hex())
    sign_key = ENCLAVE_KEY.public_key.hex()
    told = run(provider, "challenge", *options, "--sign-key", sign_key, "--save", tmp_path / "data", "--json")
    assert json.loads(told.stdout) == {
        "report_data": CHALLENGE.report_data(NAMES).hex(),
        "gpu_nonce": CHALLENGE.gpu_nonce(ENCLAVE_KEY.public_key).hex(),
        "challenge_height": 7,
        "challenge_hash": "22" * 32,
        "enclave": NAMES.enclave,
    }
    assert (tmp_path / "data").read_bytes() == CHALLENGE.report_data(NAMES)


def test_real_evidence_is_sent_with_the_agreement_of_the_enclaves_key(run, chain, quote):
    ended = run(provider, *attest_options(quote, "--enclave-key", "enclave"))
    assert ended.return_value == ExitCode.DONE
    (message,) = sent(chain)
    assert message == Attest(
        hardware=HARDWARE,
        image=IMAGE,
        release=3,
        tee=2,
        evidence=QUOTE,
        gpus=(),
        sign_key=ENCLAVE_KEY.public_key,
        seal_key=SEAL_KEY,
        challenge_height=7,
        signature=ENCLAVE_KEY.sign(agreement_bytes(CHALLENGE, NAMES, QUOTE)),
    )
    assert f"SIMULATED {NAMES.enclave}: trusted, level 1" in ended.stdout


def test_enclave_that_keeps_its_key_signs_what_the_command_prints(run, chain, quote):
    """Given a key that never leaves the enclave, when the signature is missing, then its bytes are printed; with it, it is sent."""
    sign_key = ENCLAVE_KEY.public_key.hex()
    asked = run(provider, *attest_options(quote, "--sign-key", sign_key, "--json"))
    assert asked.return_value == ExitCode.USAGE
    to_sign = bytes.fromhex(json.loads(asked.stdout)["to_sign"])
    assert not chain.taken
    signature = ENCLAVE_KEY.sign(to_sign).hex()
    ended = run(provider, *attest_options(quote, "--sign-key", sign_key, "--signature", signature, "--json"))
    assert ended.return_value == ExitCode.DONE
    assert json.loads(ended.stdout)["enclave"]["is_simulated"] is True
    assert sent(chain)[0].signature == ENCLAVE_KEY.sign(to_sign)


def test_attestation_can_be_tried(run, chain, quote):
    ended = run(provider, *attest_options(quote, "--enclave-key", "enclave", "--dry-run"))
    assert ended.return_value == ExitCode.DONE
    assert "Nothing was sent" in ended.stdout
    assert not chain.taken


def test_failed_attestation_is_a_refusal(run, chain, quote):
    chain.receipt |= {"status": "failed", "reason": "binding_mismatch"}
    for more in ((), ("--json",)):
        ended = run(provider, *attest_options(quote, "--enclave-key", "enclave", *more))
        assert ended.return_value == ExitCode.REFUSED
        assert "binding_mismatch" in ended.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("attest", "--from", "alice", "--hardware", format_address(HARDWARE)),
        ("attest", "--from", "alice", "--evidence", "{quote}"),
        ("challenge", "--operator", "alice", "--hardware", "x", "--sign-key", "00", "--seal-key", "00" * 32),
        ("status",),
    ],
    ids=" ".join,
)
def test_incomplete_commands_are_wrong_usage(run, chain, quote, arguments):
    ended = run(provider, *(str(word).format(quote=quote) for word in arguments))
    assert ended.exception.exit_code == ExitCode.USAGE
    assert not chain.taken


def test_status_tells_enclaves_and_what_is_in_store(run, chain, node):
    ended = run(provider, "status", "--operator", "alice")
    assert ended.return_value == ExitCode.DONE
    assert ended.stdout.count("SIMULATED") == 2
    assert "FALLS" in ended.stdout
    node.methods["enclaves"] = lambda **_page: {"enclaves": [ENCLAVE | {"is_usable": False}], "cursor": None}
    assert run(provider, "status", "--operator", "alice").return_value == ExitCode.REFUSED
    node.methods["enclaves"] = lambda **_page: {"enclaves": [], "cursor": None}
    assert run(provider, "status", "--operator", "alice").return_value == ExitCode.REFUSED


def test_queries_mark_what_is_simulated_and_name_what_is_short(run, chain, node):
    shown = run(query, "enclave", NAMES.enclave).stdout
    assert shown.startswith(NOTICE)
    assert "tdx_claims" not in shown
    assert "tdx SIMULATED" in run(query, "enclaves", "--operator", "alice", "--state", "trusted").stdout
    assert node.calls[-1] == (
        "enclaves",
        {"operator": format_address(ALICE), "state": "trusted", "limit": 20},
    )
    told = run(query, "forecast", NAMES.enclave).stdout
    assert "PCE 11 < 12" in told
    assert "2025-07-20" in told
    assert run(query, "forecast").exception.exit_code == ExitCode.USAGE
