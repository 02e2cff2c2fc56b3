"""Laws of resource.toml: templates are offers, contents are named by digests, and what is wrong is told with its place."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

import pytest

from bocc.errors import InputReason, InputRejected, SealRejected
from bocc.market.forms import parse_form
from bocc.market.resource_file import ResourceForm, build_publish
from bocc.market.resource_templates import TEMPLATES
from bocc.sealed import open_content
from state.address import format_address
from state.offers import AttributeRule, Payee, ResourceKind
from state.policies import AllOf, LevelAtLeast
from state.trust_messages import Publish
from tee.simulated import SimulatedVendor
from tests.support.attesting import td_profile

A, B = (bytes(1) + bytes([number]) * 20 for number in (1, 2))
CONTENT = b"rain\n"
DATA = """
kind = "data"
title = "Weather"
category = "weather"
[release]
content = "content"
"""
SOFTWARE = DATA.replace('"data"', '"software"')


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("content", "weather.csv", "image.bin"):
        (tmp_path / name).write_bytes(CONTENT)
    (tmp_path / "quote.bin").write_bytes(SimulatedVendor().machine("m").quote(bytes(64)))
    return tmp_path


def build(text: str, folder: Path, *, keeps: bool = True) -> Publish:
    return build_publish(parse_form(text, ResourceForm), folder, keeps=keeps)


@pytest.mark.parametrize("kind", TEMPLATES)
def test_template_is_an_offer_of_its_kind(kind, folder):
    message = build(TEMPLATES[kind], folder)
    assert message.kind is ResourceKind[kind.upper()]
    assert len(message.plans) == 1


@pytest.mark.parametrize("kind", TEMPLATES)
def test_what_templates_leave_out_may_be_filled_in(kind):
    text = TEMPLATES[kind].replace("bocc1...", format_address(A)).replace("00...", "00")
    for line in re.findall(r"^# \w+ = (?!\"\"\").*$", text, re.MULTILINE):
        if not line.startswith(("# account", "# share", "# evidence", "# tee", "# registers", "# attributes")):
            assert parse_form(text.replace(line, line.removeprefix("# ")), ResourceForm)


def test_open_content_is_named_by_its_digest(folder):
    release = build(DATA, folder).release
    assert release is not None
    assert (release.content_root, release.size) == (sha256(CONTENT).digest(), len(CONTENT))
    assert (release.sealed_root, release.key_commit) == (b"", b"")


def test_content_is_sealed_once_with_a_key_that_is_kept(folder):
    """Given a key that is not there, when it is built twice, then key and sealed form are made once; a dry run makes none."""
    text = f'{DATA}key_file = "key"'
    build(text, folder, keeps=False)
    assert not (folder / "key").exists()
    release = build(text, folder).release
    key, sealed = (folder / "key").read_bytes(), (folder / "content.sealed").read_bytes()
    assert open_content(sealed, key) == CONTENT
    assert (folder / "key").stat().st_mode & 0o077 == 0
    assert release == build(text, folder).release
    assert (release.sealed_root, release.key_commit) == (sha256(sealed).digest(), sha256(key).digest())


def test_sealed_form_of_other_content_is_not_taken(folder):
    text = f'{DATA}key_file = "key"'
    build(text, folder)
    (folder / "content").write_bytes(b"snow\n")
    with pytest.raises(InputRejected) as caught:
        build(text, folder)
    assert caught.value.seen == "release.content: another content is in content.sealed"
    (folder / "key").write_bytes(bytes(32))
    with pytest.raises(SealRejected):
        build(text, folder)


def test_profile_is_read_from_evidence(folder):
    text = f'{SOFTWARE}[[release.profiles]]\nevidence = "quote.bin"'
    (profile,) = build(text, folder).release.profiles
    expected = td_profile()
    assert profile.tee == expected.tee
    assert profile.registers == tuple(each for each in expected.registers if each.name != "rtmr3")


def test_profile_may_be_written_down(folder):
    registers = ", ".join(f'{name} = "0a"' for name in ("mr_td", "rtmr0", "rtmr1", "rtmr2"))
    text = (
        f'{SOFTWARE}[[release.profiles]]\ntee = "tdx"\nregisters = {{ {registers} }}\n'
        'attributes = { xfam = { mask = "01", expected = "01" } }'
    )
    (profile,) = build(text, folder).release.profiles
    assert [register.name for register in profile.registers] == ["mr_td", "rtmr0", "rtmr1", "rtmr2"]
    assert profile.attributes == (AttributeRule(name="xfam", mask=b"\x01", expected=b"\x01"),)


def test_policy_and_shares_are_as_the_chain_holds_them(folder):
    shares = "".join(f'[[payees]]\naccount = "{format_address(each)}"\nshare_bp = 5000\n' for each in (B, A))
    text = DATA.replace("[release]", f'policy = "all_of(level_at_least(4))"\n{shares}[release]')
    message = build(text, folder)
    assert message.policy == (AllOf(count=1), LevelAtLeast(level=4))
    assert message.payees == (Payee(account=A, share_bp=5_000), Payee(account=B, share_bp=5_000))


@pytest.mark.parametrize(
    ("old", "new", "seen"),
    [
        ('"data"', '"hardware"', "hardware: capacity and release"),
        ("[release]", "[capacity]\n[release]", "data: capacity and release"),
        ('content = "content"', "", "release: content and content_root"),
        ('content = "content"', 'content_root = "00"', "release: content_root"),
        ('content = "content"', 'content_root = "00"\nsize = 1', "release.content_root: 1 bytes"),
        ("[release]", '[release]\nrecipe_hash = "00"', "release.recipe_hash: 1 bytes"),
        ("[release]", '[[plans]]\nunit = "second"\nprice = "1"\nmin_term = "2s"\nmax_term = "1s"\n[release]', None),
        (
            "[release]",
            f'[[payees]]\naccount = "{format_address(A)}"\nshare_bp = 1\n[release]',
            "payees: share_bp 1 in all",
        ),
        (
            "[release]",
            f'[[payees]]\naccount = "{format_address(A)}"\nshare_bp = 5000\n' * 2 + "[release]",
            "payees: an account twice",
        ),
        ('content = "content"', 'content = "content"\n[[release.profiles]]', "release.profiles[0]: no tee"),
        (
            'content = "content"',
            'content = "content"\n[[release.profiles]]\nevidence = "content"',
            "release.profiles[0].evidence: content",
        ),
        (
            'content = "content"',
            'content = "content"\n[[release.profiles]]\ntee = "sgx"\nregisters = { mr_signer = "00" }',
            "release.profiles[0]: without mr_enclave",
        ),
        (
            'content = "content"',
            'content = "content"\n[[release.profiles]]\ntee = "sgx"\nregisters = { mr_td = "00" }',
            "release.profiles[0]: mr_td",
        ),
    ],
)
def test_offer_that_no_chain_takes_is_told_with_its_place(folder, old, new, seen):
    assert old in DATA
    with pytest.raises(InputRejected) as caught:
        build(DATA.replace(old, new), folder)
    assert caught.value.reason is InputReason.BAD_FILE
    assert seen is None or caught.value.seen == seen
