"""Bytes into the readers of Intel's quotes and documents: only typed refusals come out, and nothing foreign is accepted."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from tee.collateral import CollateralFiles, check_collateral
from tee.der import OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, DerError, DerReader
from tee.documents import CollateralKind, Parsed, SvnLevel, TcbLevel
from tee.errors import EvidenceRejected
from tee.evidence import EvidenceKind, verify
from tee.intel_documents import Vouching, read_qe_identity, read_tcb_info
from tee.intel_quote import Quote, parse_quote
from tee.pck import PckExtension, parse_pck_extension
from tee.roots import Roots, TrustedRoot
from tee.simulated import SimulatedVendor, platform_template, qe_identity_template, tcb_info_template
from tee.simulated_certificates import write_pck_extension
from tee.simulated_documents import write_qe_identity, write_tcb_info
from tee.simulated_quotes import SgxBody, TdBody
from tee.strict_json import JsonError, parse_json

NOW_S = 1_780_272_000
"""2026-06-01T00:00:00Z."""
FUZZ = settings(max_examples=300, deadline=None)
EDITS = st.lists(st.tuples(st.integers(0, 6000), st.integers(0, 3), st.binary(max_size=8)), min_size=1, max_size=4)
VOUCHING = Vouching(root=bytes(32), signer_serial=b"\1", valid_from_s=0, valid_until_s=1 << 40)
KINDS = (EvidenceKind.TDX, EvidenceKind.TDX, EvidenceKind.SGX)


def edit(original: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """Replace a few bytes at each place by others, which may be more or fewer."""
    edited = original
    for place, removed, added in edits:
        start = place % (len(edited) + 1)
        edited = edited[:start] + added + edited[start + removed :]
    return edited


@cache
def vendor() -> SimulatedVendor:
    return SimulatedVendor()


@cache
def roots() -> Roots:
    return Roots(intel=(TrustedRoot(der=vendor().root, is_simulated=True),))


@cache
def genuine(index: int) -> bytes:
    """Return a quote of version 4, 5 or 3."""
    machine = vendor().machine("alpha")
    if index < 2:
        return machine.quote(bytes(64), TdBody(body_type=2 + index))
    return machine.quote(bytes(64), SgxBody())


@cache
def collateral(index: int) -> CollateralFiles:
    files = vendor().collateral(NOW_S - 1, is_sgx=KINDS[index] is EvidenceKind.SGX).files()
    return CollateralFiles.load(files, roots(), NOW_S)


@cache
def documents() -> tuple[tuple[CollateralKind, bytes, tuple[bytes, ...]], ...]:
    issued = vendor().collateral(NOW_S - 1)
    return (
        (CollateralKind.INTEL_ROOT_CRL, issued.root_crl, ()),
        (CollateralKind.INTEL_PCK_CRL, issued.pck_crl, issued.pck_crl_chain),
        (CollateralKind.INTEL_TCB_INFO, issued.tcb_info, issued.signer_chain),
        (CollateralKind.INTEL_QE_IDENTITY, issued.qe_identity, issued.signer_chain),
    )


def is_accepted(call: Callable[[], object]) -> bool:
    try:
        call()
    except (EvidenceRejected, JsonError):
        return False
    return True


def take_in(kind: CollateralKind, body: bytes, chain: tuple[bytes, ...]) -> Parsed:
    return check_collateral(kind, body, chain, roots(), collateral(0).root_crl, NOW_S)


@FUZZ
@given(st.binary(max_size=2000))
def test_any_bytes_are_no_quote(evidence: bytes) -> None:
    assert not is_accepted(lambda: parse_quote(evidence))


@FUZZ
@given(st.integers(0, 2), EDITS)
def test_an_edited_quote_reads_back_as_what_was_sent_or_is_refused(index: int, edits: list) -> None:
    evidence = edit(genuine(index), edits)
    try:
        quote = parse_quote(evidence)
    except EvidenceRejected:
        return
    assert join(quote) == evidence


def join(quote: Quote) -> bytes:
    """Return the only bytes that a quote can be read from."""

    def counted(part: bytes, size: int) -> bytes:
        return len(part).to_bytes(size, "little") + part

    inner = quote.qe_report + quote.qe_signature + counted(quote.qe_authentication, 2)
    inner += b"\x05\x00" + counted(quote.pck_chain, 4)
    outer = inner if quote.version == 3 else b"\x06\x00" + counted(inner, 4)
    return quote.signed + counted(quote.signature + quote.attestation_key + outer, 4)


@FUZZ
@given(st.integers(0, 2), EDITS)
def test_an_edited_quote_is_refused(index: int, edits: list) -> None:
    evidence = edit(genuine(index), edits)
    accepted = is_accepted(lambda: verify(KINDS[index], evidence, collateral(index), roots(), NOW_S))
    assert accepted == (evidence == genuine(index))


@FUZZ
@given(st.integers(0, 3), EDITS)
def test_an_edited_document_is_refused_or_says_the_same(index: int, edits: list) -> None:
    """White space in the envelope and the case of the signature's digits are free, and nothing else."""
    kind, body, chain = documents()[index]
    edited = edit(body, edits)
    if is_accepted(lambda: take_in(kind, edited, chain)):
        assert take_in(kind, edited, chain) == take_in(kind, body, chain)


@FUZZ
@given(st.integers(0, 3), st.binary(max_size=400))
def test_any_bytes_are_no_document(index: int, body: bytes) -> None:
    kind, _, chain = documents()[index]
    assert not is_accepted(lambda: take_in(kind, body, chain))


@FUZZ
@given(st.integers(0, 3), st.integers(0, 1), EDITS)
def test_a_document_is_refused_with_an_edited_signer(index: int, place: int, edits: list) -> None:
    kind, body, chain = documents()[index]
    if chain:
        changed = edit(chain[place], edits)
        edited = (changed, chain[1]) if place == 0 else (chain[0], changed)
        assert is_accepted(lambda: take_in(kind, body, edited)) == (edited == chain)


@FUZZ
@given(st.booleans(), EDITS)
def test_signed_text_of_any_kind_is_read_or_refused(is_tcb_info: bool, edits: list) -> None:
    """Intel could sign any text: it must meet a typed refusal, or give a document that says what it is."""
    if is_tcb_info:
        text, read = write_tcb_info(tcb_info_template(NOW_S)), read_tcb_info
    else:
        text, read = write_qe_identity(qe_identity_template(NOW_S)), read_qe_identity
    try:
        document = read(parse_json(edit(text, edits)), VOUCHING)
    except JsonError:
        return
    assert document.levels
    assert list(document.levels) == sorted(document.levels, key=level_key, reverse=True)


def level_key(level: TcbLevel | SvnLevel) -> tuple:
    if isinstance(level, SvnLevel):
        return (level.isv_svn,)
    return level.sgx_components, level.pce_svn, level.tdx_components


@cache
def sgx_extension() -> bytes:
    """Return the content of the extension of a simulated platform."""
    extension = DerReader(write_pck_extension(platform_template("alpha"))).enter(SEQUENCE)
    extension.read(OBJECT_IDENTIFIER)
    return extension.read(OCTET_STRING)


@FUZZ
@given(EDITS)
def test_an_edited_extension_is_read_or_refused(edits: list) -> None:
    content = sgx_extension()
    try:
        extension = parse_pck_extension(edit(content, edits))
    except DerError:
        return
    assert isinstance(extension, PckExtension)
    assert [len(extension.ppid), len(extension.cpu_svn), len(extension.fmspc)] == [16, 16, 6]


@FUZZ
@given(st.binary(max_size=200))
def test_any_bytes_are_no_extension(content: bytes) -> None:
    try:
        parse_pck_extension(content)
    except DerError:
        return
    raise AssertionError("an extension without entries was read")
