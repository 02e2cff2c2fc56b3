"""Laws of `bocc tee`: the exit code is the verdict, each refusal names check and remedy, simulated evidence is called so."""

from __future__ import annotations

import json
import random
import re
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from bocc.cli.tee import command
from bocc.evidence.decode import decode
from bocc.evidence.files import Document, find_kind
from tee.checks import Family
from tee.errors import EvidenceRejected
from tee.simulated import recovery_template
from tee.simulated_quotes import TdBody
from tests.support.nitro_pki import World as NitroWorld
from tests.support.simulated_world import ISSUED_S, NOW_S, SGX_WORLD, TDX_15_WORLD, TDX_WORLD, World
from tests.support.snp_cases import GENOA, VLEK

TOP = Path(__file__).resolve().parents[3]
Judge = Callable[..., Result]


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    """Verify the quote of a simulated world with its collateral, which the command trusts."""

    def run(world: World, *options: object, written: Callable[[bytes], bytes] = bytes) -> Result:
        folder = tmp_path / "collateral"
        folder.mkdir(exist_ok=True)
        for name, file in world.files().items():
            (folder / name).write_bytes(file)
        quote = tmp_path / "quote.bin"
        quote.write_bytes(written(world.quote()))
        return invoke("verify", quote, "--collateral", folder, "--at", world.time_s, "--simulated", *options)

    return run


def told(outcome: Result) -> Any:
    assert outcome.exit_code in {0, 1}, (outcome.output, outcome.exception)
    return json.loads(outcome.stdout)


def last_line(outcome: Result) -> str:
    return outcome.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("world", "kind"),
    [(SGX_WORLD, "sgx"), (TDX_WORLD, "tdx"), (TDX_15_WORLD, "tdx")],
    ids=["sgx", "tdx 1.0", "tdx 1.5"],
)
def test_good_evidence_ends_with_code_0_and_every_check_holds(judge: Judge, world: World, kind: str) -> None:
    outcome = judge(world, "--json")
    report = told(outcome)
    assert (outcome.exit_code, report["verdict"], report["kind"]) == (0, "authentic", kind)
    assert {check["state"] for check in report["checks"]} == {"ok"}
    assert (report["refusal"], report["gaps"], report["hint"]) == (None, [], "")
    assert report["proven"]["tcb"]["status"] == "UpToDate"


def test_simulated_evidence_is_called_so_everywhere_and_has_level_1(judge: Judge) -> None:
    outcome = judge(TDX_WORLD)
    assert "Root: Intel SGX Root CA, SIMULATED" in outcome.stdout
    assert "\nSIMULATED: everybody can sign this" in outcome.stdout
    assert last_line(outcome).startswith("SIMULATED, authentic until")
    report = told(judge(TDX_WORLD, "--json"))
    assert (report["is_simulated"], report["is_vendor_root"]) == (True, False)
    assert report["proven"]["appraisal"]["level"] == 1


def test_simulated_evidence_is_refused_unless_it_is_asked_for(judge: Judge, tmp_path: Path) -> None:
    judge(TDX_WORLD)
    outcome = invoke(
        "verify", tmp_path / "quote.bin", "--collateral", tmp_path / "collateral", "--at", TDX_WORLD.time_s
    )
    assert outcome.exit_code == 1
    assert last_line(outcome).startswith("SIMULATED, REFUSED at root: pck_chain_root_untrusted")
    assert "--simulated" in outcome.stdout


def test_a_given_root_is_trusted_in_place_of_the_vendors_and_is_called_so(judge: Judge, tmp_path: Path) -> None:
    judge(TDX_WORLD)
    root = tmp_path / "root.der"
    root.write_bytes(TDX_WORLD.vendor().root)
    given = ("verify", tmp_path / "quote.bin", "--collateral", tmp_path / "collateral", "--at", TDX_WORLD.time_s)
    assert last_line(invoke(*given, "--root", root)).startswith("SIMULATED, authentic")
    own = TDX_WORLD.having(root={"not_before_s": 1})
    root.write_bytes(own.vendor().root)
    assert "below a root that is not a vendor's" in last_line(judge(own, "--root", root))


def test_the_failed_check_has_the_reason_and_later_ones_are_not_reached(judge: Judge) -> None:
    world = TDX_WORLD.having(qe_identity={"next_update_s": NOW_S - 1})
    outcome = judge(world)
    assert outcome.exit_code == 1
    lines = [line for line in outcome.stdout.splitlines() if re.match(r"(ok|NO|not reached) ", line)]
    assert [line[:11].strip() for line in lines] == ["ok"] * 11 + ["NO"] + ["not reached"] * 2
    assert "qe_identity_expired" in lines[11]
    assert last_line(outcome).startswith("SIMULATED, REFUSED at qe-identity: qe_identity_expired: ")
    assert "What to do: get this document from the vendor anew" in outcome.stdout


def test_a_status_comes_with_the_versions_that_are_short(judge: Judge) -> None:
    world = TDX_WORLD.having(tcb_info=recovery_template(ISSUED_S))
    outcome = judge(world)
    assert outcome.exit_code == 0
    assert "TCB status: OutOfDate" in outcome.stdout
    assert re.search(r"platform +SGX component 0 +2 +3\n", outcome.stdout)
    assert told(judge(world, "--json"))["gaps"][0] == {
        "part": "platform",
        "component": "SGX component 0",
        "seen": 2,
        "needed": 3,
    }


def test_a_platform_below_all_levels_is_refused_with_what_it_lacks(judge: Judge) -> None:
    report = told(judge(TDX_WORLD.having(platform={"pce_svn": 0}), "--json"))
    assert report["refusal"]["reason"] == "tcb_not_supported"
    assert [gap["component"] for gap in report["gaps"]] == ["PCE"]


def test_a_status_that_no_version_betters_says_so(judge: Judge) -> None:
    level = replace(TDX_WORLD.tcb_info.levels[0], status="ConfigurationNeeded")
    assert "No version is short" in judge(TDX_WORLD.having(tcb_info={"levels": (level,)})).stdout


def test_debug_is_denied_by_every_policy_though_authentic(judge: Judge) -> None:
    outcome = judge(TDX_WORLD.having(body=TdBody(td_attributes=1 | 1 << 28)))
    assert outcome.exit_code == 0
    assert "Flags: DEBUG" in outcome.stdout
    assert "DENIED: debug" in outcome.stdout


@pytest.mark.parametrize(
    ("written", "command_line"),
    [
        (bytes, "head -c {size} "),
        (lambda quote: quote.hex().encode(), "xxd -r -p "),
        (b64encode, "base64 -d "),
    ],
    ids=["binary", "hex", "base64"],
)
def test_bytes_behind_a_quote_are_refused_with_the_way_to_cut_them(
    judge: Judge, written: Callable[[bytes], bytes], command_line: str
) -> None:
    size = len(TDX_WORLD.quote())
    outcome = judge(TDX_WORLD, written=lambda quote: written(quote + bytes(70)))
    assert outcome.exit_code == 1
    assert last_line(outcome) == "REFUSED at form: trailing_bytes: 70, allowed 0"
    assert command_line.format(size=size) in outcome.stdout
    assert f"head -c {size}" in outcome.stdout


def test_a_quote_without_documents_says_which_are_needed(tmp_path: Path) -> None:
    (tmp_path / "quote.bin").write_bytes(TDX_WORLD.quote())
    outcome = invoke("verify", tmp_path / "quote.bin", "--at", NOW_S, "--simulated")
    assert outcome.exit_code == 1
    assert "collateral_missing" in last_line(outcome)
    assert "tcb_signing_chain.pem" in outcome.stdout


def test_a_torn_document_fails_the_check_that_needs_it(judge: Judge) -> None:
    world = replace(TDX_WORLD, edit_files=lambda files: {**files, "pck_crl.der": b"0"})
    report = told(judge(world, "--json"))
    assert report["refusal"] | {"seen": "", "bound": ""} == {
        "check": "revocation",
        "reason": "parse",
        "seen": "",
        "bound": "",
    }


@pytest.mark.parametrize("text", ["2026-06-01T00:00:00Z", "2026-06-01 00:00", "2026-06-01", str(NOW_S)])
def test_time_is_a_date_or_a_number(judge: Judge, text: str) -> None:
    report = told(judge(TDX_WORLD, "--at", text, "--json"))
    assert (report["time_s"], report["time_source"]) == (NOW_S, "given")


def test_without_a_time_the_clock_counts_and_the_output_says_so(tmp_path: Path) -> None:
    (tmp_path / "quote.bin").write_bytes(TDX_WORLD.quote())
    assert "the clock of this machine" in invoke("verify", tmp_path / "quote.bin").stdout
    assert told(invoke("verify", tmp_path / "quote.bin", "--json"))["time_source"] == "clock"


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (b"hello", ()),
        (b"", ()),
        (TDX_WORLD.files()["tcb_info.json"], ()),
        (b"\x11\xe0\x01\xff" + bytes(300), ()),
        (b"\x11\xe0\x01\xff" + bytes(300), ("--chain", __file__, "--nonce", "xx")),
        (TDX_WORLD.quote(), ("--at", "yesterday")),
        (TDX_WORLD.quote(), ("--at", "2026-02-30")),
        (TDX_WORLD.quote(), ("--collateral", __file__)),
        (TDX_WORLD.quote(), ("--kind", "enclave")),
        (TDX_WORLD.quote(), ("--root", TOP / "README.md", "--simulated")),
        (GENOA.report.encode(), ("--root", TOP / "README.md")),
    ],
)
def test_wrong_usage_ends_with_code_2(tmp_path: Path, content: bytes, options: tuple[object, ...]) -> None:
    (tmp_path / "file").write_bytes(content)
    assert invoke("verify", tmp_path / "file", *options).exit_code == 2


def test_a_root_that_the_family_cannot_have_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "quote.bin").write_bytes(TDX_WORLD.quote())
    (tmp_path / "ark.der").write_bytes(GENOA.ark.encode())
    (tmp_path / "two.pem").write_bytes(TDX_WORLD.files()["tcb_signing_chain.pem"])
    assert (
        "is no root that tdx could have"
        in invoke("verify", tmp_path / "quote.bin", "--root", tmp_path / "ark.der").output
    )
    assert "2 certificates" in invoke("verify", tmp_path / "quote.bin", "--root", tmp_path / "two.pem").output


def test_snp_certificate_may_stand_behind_the_report_or_in_a_file_of_its_own(tmp_path: Path) -> None:
    for name, part in (("report", GENOA.report), ("vek", GENOA.vek), ("ask", GENOA.ask), ("ark", GENOA.ark)):
        (tmp_path / name).write_bytes(part.encode())
    certificates = [option for name in ("vek", "ask") for option in ("--certificate", tmp_path / name)]
    options = ("--root", tmp_path / "ark", "--at", "2026-06-01", "--json")
    apart = told(invoke("verify", tmp_path / "report", *certificates, *options))
    assert apart["verdict"] == "authentic"
    states = {check["name"]: check["state"] for check in apart["checks"]}
    assert (states.pop("revocation"), set(states.values())) == ("not_given", {"ok"})
    alone = invoke("verify", tmp_path / "report", "--at", "2026-06-01")
    assert "--certificate VCEK" in alone.stdout
    (tmp_path / "both").write_bytes(GENOA.report.encode() + GENOA.vek.encode() + b"behind")
    cut = invoke("verify", tmp_path / "both", "--at", "2026-06-01")
    assert f"head -c {1184 + len(GENOA.vek.encode())} " in cut.stdout


def test_snp_certificate_may_stand_in_the_table_that_linux_gives(tmp_path: Path) -> None:
    vek = GENOA.vek.encode()
    guid = UUID("63da758d-e664-4564-adc5-f4b93be8accd").bytes_le
    table = guid + (48).to_bytes(4, "little") + len(vek).to_bytes(4, "little") + bytes(24) + vek
    (tmp_path / "table").write_bytes(table)
    (tmp_path / "report").write_bytes(GENOA.report.encode())
    options = ("--certificate", tmp_path / "table", "--at", "2026-06-01")
    outcome = invoke("verify", tmp_path / "report", *options)
    assert last_line(outcome).startswith("REFUSED at issuers: vek_bad_issuer: SEV-Genoa")
    (tmp_path / "report").write_bytes(VLEK.report.encode())
    assert "no VLEK for this report, only VCEK" in invoke("verify", tmp_path / "report", *options).output


def test_a_report_without_a_revocation_list_says_that_it_was_not_checked(tmp_path: Path) -> None:
    for name, part in (("report", GENOA.report), ("vek", GENOA.vek), ("ask", GENOA.ask), ("ark", GENOA.ark)):
        (tmp_path / name).write_bytes(part.encode())
    options = ("--certificate", tmp_path / "vek", "--certificate", tmp_path / "ask", "--root", tmp_path / "ark")
    outcome = invoke("verify", tmp_path / "report", *options, "--at", "2026-06-01")
    assert "Revocation was not checked" in outcome.stdout
    (tmp_path / "amd_crl.der").write_bytes(GENOA.crl.encode())
    outcome = invoke("verify", tmp_path / "report", *options, "--at", "2026-06-01", "--collateral", tmp_path)
    assert outcome.exit_code == 0
    assert "Revocation was not checked" not in outcome.stdout
    (tmp_path / "amd_crl.der").write_bytes(b"0")
    outcome = invoke("verify", tmp_path / "report", *options, "--at", "2026-06-01", "--collateral", tmp_path)
    assert last_line(outcome).startswith("REFUSED at revocation: parse")


def test_decode_calls_nothing_verified_and_shows_what_stands_behind(tmp_path: Path) -> None:
    (tmp_path / "quote.bin").write_bytes(TDX_WORLD.quote() + b"behind")
    outcome = invoke("decode", tmp_path / "quote.bin")
    assert outcome.exit_code == 0
    assert outcome.stdout.startswith("Decoded only: nothing here is verified.")
    assert "Bytes stand behind the quote" in outcome.stdout
    fields = told(invoke("decode", tmp_path / "quote.bin", "--json"))
    assert (fields["is_verified"], fields["bytes_behind"], fields["version"]) == (False, 6, 4)
    assert fields["body"]["td_attributes_names"] == ["SEPT_VE_DISABLE"]
    assert fields["certificates"][0]["sgx"]["fmspc"] == "ff00ff00ff00"


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        (TDX_15_WORLD.quote(), "TDX quote"),
        (replace(TDX_15_WORLD, body=TdBody(body_type=4)).quote(), "TDX quote"),
        (SGX_WORLD.quote(), "SGX quote"),
        (GENOA.report.encode() + GENOA.vek.encode(), "SEV-SNP report"),
        (GENOA.report.encode(), "SEV-SNP report"),
        (NitroWorld().encode(), "Nitro document"),
        (TDX_WORLD.files()["tcb_info.json"], "TCB info"),
        (TDX_WORLD.files()["qe_identity.json"], "QE identity"),
        (TDX_WORLD.files()["pck_crl.der"], "revocation list"),
        (TDX_WORLD.vendor().root, "certificate"),
    ],
    ids=["tdx", "tdx extended", "sgx", "snp", "snp alone", "nitro", "tcb info", "qe identity", "crl", "certificate"],
)
def test_decode_reads_every_kind(tmp_path: Path, file: bytes, kind: str) -> None:
    (tmp_path / "file").write_bytes(file)
    assert told(invoke("decode", tmp_path / "file", "--json"))["kind"] == kind


def test_decode_shows_all_certificates_of_a_chain(tmp_path: Path) -> None:
    (tmp_path / "chain").write_bytes(TDX_WORLD.files()["tcb_signing_chain.pem"])
    names = [each["subject"] for each in told(invoke("decode", tmp_path / "chain", "--json"))["certificates"]]
    assert names == ["Intel SGX TCB Signing", "Intel SGX Root CA"]


def test_decode_refuses_what_is_broken_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "quote.bin").write_bytes(TDX_WORLD.quote()[:-1])
    outcome = invoke("decode", tmp_path / "quote.bin", "--json")
    assert (outcome.exit_code, told(outcome)["error"]["reason"]) == (1, "parse")
    (tmp_path / "other").write_bytes(b"hello")
    assert invoke("decode", tmp_path / "other").exit_code == 2


SAMPLES = {
    Family.TDX: TDX_15_WORLD.quote(),
    Family.SGX: SGX_WORLD.quote(),
    Family.SEV_SNP: GENOA.report.encode() + GENOA.vek.encode(),
    Family.NITRO: NitroWorld().encode(),
    Document.TCB_INFO: TDX_WORLD.files()["tcb_info.json"],
    Document.QE_IDENTITY: TDX_WORLD.files()["qe_identity.json"],
    Document.REVOCATION_LIST: TDX_WORLD.files()["pck_crl.der"],
    Document.CERTIFICATES: TDX_WORLD.vendor().root,
}


@pytest.mark.parametrize("kind", SAMPLES, ids=str)
def test_no_change_of_bytes_brings_decode_to_anything_but_a_reason(kind: Family | Document) -> None:
    chance = random.Random(f"decode {kind}")
    for _attempt in range(300):
        changed = bytearray(SAMPLES[kind])
        for _place in range(chance.randint(1, 4)):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        octets = bytes(changed[: chance.choice([len(changed), chance.randrange(len(changed))])])
        find_kind(octets)
        with suppress(EvidenceRejected):
            decode(kind, octets)


@pytest.mark.parametrize("kind", [kind for kind in SAMPLES if isinstance(kind, Family)], ids=str)
def test_no_change_of_bytes_brings_verify_to_anything_but_a_verdict(kind: Family, tmp_path: Path) -> None:
    chance = random.Random(f"verify {kind}")
    for name, file in TDX_WORLD.files().items():
        (tmp_path / name).write_bytes(file)
    for _attempt in range(40):
        changed = bytearray(SAMPLES[kind])
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        (tmp_path / "file").write_bytes(changed)
        options = ("--collateral", tmp_path, "--simulated", "--at", NOW_S, "--kind", kind.value)
        assert told(invoke("verify", tmp_path / "file", *options, "--json"))["verdict"] == "refused"
        assert invoke("verify", tmp_path / "file", *options).exit_code == 1
