"""docs/ATTESTATION.md says what the program does: its commands run, and its tables have all checks in their order."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from bocc.__main__ import cli
from tee.checks import CHECKS, Family

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "ATTESTATION.md").read_text(encoding="utf-8")
SAMPLES = {
    "quote.bin": "tdx/v4-00806f05-gcp-outofdate/quote.bin",
    "uncut.bin": "tdx/v4-b0c06f-uptodate/quote-as-published.bin",
    "report.bin": "snp/v5-genoa/report.bin",
    "vcek.der": "snp/v5-genoa/vcek.der",
    "document.cbor": "nitro/2022-prod/document.cbor",
    "gpu.bin": "nvidia/hopper-driver-550/report.bin",
    "gpu-chain.pem": "nvidia/hopper-driver-550/chain.pem",
}
COLLATERAL = "tdx/collateral/00806f05-2025-07"


def lines_after(mark: str) -> list[str]:
    """Return the lines of the table or block that follows a mark, up to the next empty line."""
    assert TEXT.count(f"<!-- {mark} -->\n") == 1, mark
    return TEXT.partition(f"<!-- {mark} -->\n")[2].partition("\n\n")[0].splitlines()


def documented_commands() -> list[tuple[str, int]]:
    rows = [line.rsplit("#", 1) for line in lines_after("tested: commands")[1:-1]]
    return [(line.strip(), int(code)) for line, code in rows]


@pytest.fixture
def samples(shared_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    evidence = shared_dir / "evidence"
    for name, source in SAMPLES.items():
        shutil.copyfile(evidence / source, tmp_path / name)
    (tmp_path / "intel").mkdir()
    for source in (evidence / COLLATERAL).iterdir():
        shutil.copyfile(source, tmp_path / "intel" / source.name)
    shutil.copyfile(evidence / COLLATERAL / "tcb_info.json", tmp_path / "tcb_info.json")
    (tmp_path / "quote.hex").write_text((tmp_path / "quote.bin").read_bytes().hex())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_command_ends_with_the_code_that_stands_behind_it(samples: Path) -> None:
    codes = []
    for line, _code in documented_commands():
        program, *arguments = shlex.split(line)
        assert program == "bocc"
        codes.append((line, CliRunner().invoke(cli, arguments).exit_code))
    assert codes == documented_commands()
    assert len(codes) == 10


@pytest.mark.parametrize("family", [Family.TDX, Family.SEV_SNP, Family.NITRO, Family.NVIDIA])
def test_tables_have_all_checks_in_their_order(family: Family) -> None:
    rows = lines_after(f"checks: {family.value}")[2:]
    assert re.findall(r"^\| `([\w-]+)` \|", "\n".join(rows), re.MULTILINE) == [check.name for check in CHECKS[family]]
