"""Formats of TCB info and QE identity: what is read, in which order it is stored, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tee.claims import TcbStatus
from tee.documents import IntelTee, QeIdentity, SvnLevel, TcbInfo
from tee.intel_documents import ADVISORIES_MAX, LEVELS_MAX, MODULES_MAX, Vouching, read_qe_identity, read_tcb_info
from tee.simulated import qe_identity_template, tcb_info_template
from tee.simulated_documents import write_qe_identity, write_tcb_info
from tee.strict_json import JsonError

ISSUED_S = 1_780_272_000
NEXT_UPDATE_S = ISSUED_S + 30 * 86_400
VOUCHING = Vouching(root=b"r" * 32, signer_serial=b"\1", valid_from_s=0, valid_until_s=1 << 40)

Change = Callable[[dict[str, Any]], object]


def tcb_members() -> dict[str, Any]:
    return json.loads(write_tcb_info(tcb_info_template(ISSUED_S)))


def qe_members() -> dict[str, Any]:
    return json.loads(write_qe_identity(qe_identity_template(ISSUED_S)))


def read_changed_tcb(change: Change) -> TcbInfo:
    members = tcb_members()
    change(members)
    return read_tcb_info(members, VOUCHING)


def read_changed_qe(change: Change) -> QeIdentity:
    members = qe_members()
    change(members)
    return read_qe_identity(members, VOUCHING)


def setting(*path: str | int, to: object) -> Change:
    """Return a change that sets one value deep inside."""

    def change(members: Any) -> None:
        for step in path[:-1]:
            members = members[step]
        members[path[-1]] = to

    return change


def leaving_out(*path: str | int) -> Change:
    def change(members: Any) -> None:
        for step in path[:-1]:
            members = members[step]
        del members[path[-1]]

    return change


def test_tcb_info_is_read() -> None:
    info = read_tcb_info(tcb_members(), VOUCHING)

    assert (info.tee, info.fmspc.hex(), info.pce_id, info.number) == (IntelTee.TDX, "ff00ff00ff00", bytes(2), 20)
    assert (info.issued_s, info.next_update_s) == (ISSUED_S, NEXT_UPDATE_S)
    assert (info.valid_from_s, info.valid_until_s) == (ISSUED_S, NEXT_UPDATE_S)
    assert info.subject == b"r" * 32 + b"\x02" + info.fmspc
    assert [level.status for level in info.levels] == [TcbStatus.UP_TO_DATE, TcbStatus.OUT_OF_DATE]
    assert [level.pce_svn for level in info.levels] == [11, 5]
    assert [module.major_version for module in info.modules] == [0, 1]
    assert info.modules[0].levels == ()


def test_a_document_for_enclaves_has_no_modules_and_one_kind_of_components() -> None:
    info = read_tcb_info(json.loads(write_tcb_info(tcb_info_template(ISSUED_S, is_sgx=True))), VOUCHING)
    assert (info.tee, info.modules) == (IntelTee.SGX, ())
    assert {level.tdx_components for level in info.levels} == {b""}


def test_qe_identity_is_read() -> None:
    identity = read_changed_qe(setting("miscselect", to="01000000"))
    assert (identity.tee, identity.number, identity.isv_prod_id) == (IntelTee.TDX, 20, 2)
    assert (identity.misc_select, identity.misc_select_mask) == (1, 0xFFFFFFFF)
    assert [(level.isv_svn, level.status) for level in identity.levels] == [
        (4, TcbStatus.UP_TO_DATE),
        (2, TcbStatus.OUT_OF_DATE),
    ]
    assert identity.subject == b"r" * 32 + b"\x02"


def test_the_window_is_cut_by_the_certificates_that_vouch() -> None:
    short = Vouching(root=b"", signer_serial=b"", valid_from_s=ISSUED_S + 5, valid_until_s=ISSUED_S + 9)
    for document in (read_tcb_info(tcb_members(), short), read_qe_identity(qe_members(), short)):
        assert (document.valid_from_s, document.valid_until_s) == (ISSUED_S + 5, ISSUED_S + 9)
        assert (document.issued_s, document.next_update_s) == (ISSUED_S, NEXT_UPDATE_S)


def test_the_order_in_the_text_does_not_matter() -> None:
    assert read_changed_tcb(lambda members: members["tcbLevels"].reverse()).levels == read_changed_tcb(id).levels
    assert read_changed_qe(lambda members: members["tcbLevels"].reverse()) == read_changed_qe(id)
    changed = read_changed_tcb(lambda members: members["tdxModuleIdentities"][0]["tcbLevels"].reverse())
    assert [level.isv_svn for level in changed.modules[1].levels] == [8, 4]


def test_advisories_are_listed_once_and_levels_point_to_them() -> None:
    def change(members: dict[str, Any]) -> None:
        members["tcbLevels"][0]["advisoryIDs"] = ["INTEL-SA-2", "INTEL-SA-1"]
        members["tcbLevels"][1]["advisoryIDs"] = ["INTEL-SA-1", "INTEL-SA-1", "INTEL-SA-3"]
        members["tdxModuleIdentities"][0]["tcbLevels"][0]["advisoryIDs"] = []
        members["tdxModuleIdentities"][0]["tcbLevels"][1]["advisoryIDs"] = ["INTEL-SA-3"]

    info = read_changed_tcb(change)

    assert info.advisories == ("INTEL-SA-2", "INTEL-SA-1", "INTEL-SA-3")
    assert [level.advisories for level in info.levels] == [b"\0\1", b"\1\2"]
    assert [level.advisories for level in info.modules[1].levels] == [b"", b"\2"]


def test_ids_of_modules_are_hex_digits_of_either_case() -> None:
    for text in ("TDX_1f", "TDX_1F"):
        info = read_changed_tcb(setting("tdxModuleIdentities", 0, "id", to=text))
        assert [module.major_version for module in info.modules] == [0, 0x1F]


def test_identities_of_modules_may_be_absent() -> None:
    assert [each.major_version for each in read_changed_tcb(leaving_out("tdxModuleIdentities")).modules] == [0]


@pytest.mark.parametrize(
    "word", ["SWHardeningNeeded", "ConfigurationNeeded", "OutOfDateConfigurationNeeded", "Revoked"]
)
def test_platforms_have_more_statuses_than_modules_and_quoting_enclaves(word: str) -> None:
    assert read_changed_tcb(setting("tcbLevels", 0, "tcbStatus", to=word)).levels
    changes = (
        (read_changed_tcb, setting("tdxModuleIdentities", 0, "tcbLevels", 0, "tcbStatus", to=word)),
        (read_changed_qe, setting("tcbLevels", 0, "tcbStatus", to=word)),
    )
    for read, change in changes:
        if word == "Revoked":
            assert read(change)
        else:
            with pytest.raises(JsonError):
                read(change)


TCB_FAULTS = {
    "id of another TEE": setting("id", to="SEV"),
    "id that is no text": setting("id", to=["TDX"]),
    "version 2": setting("version", to=2),
    "kind 1": setting("tcbType", to=1),
    "no kind": leaving_out("tcbType"),
    "fmspc of 5 bytes": setting("fmspc", to="ff" * 5),
    "pceId of 1 byte": setting("pceId", to="00"),
    "negative number": setting("tcbEvaluationDataNumber", to=-1),
    "number of 33 bits": setting("tcbEvaluationDataNumber", to=1 << 32),
    "issue date with a fraction": setting("issueDate", to="2026-06-01T00:00:00.5Z"),
    "no next update": leaving_out("nextUpdate"),
    "no levels": leaving_out("tcbLevels"),
    "empty levels": setting("tcbLevels", to=[]),
    "levels that are no list": setting("tcbLevels", to={}),
    "level that is no object": setting("tcbLevels", 0, to=[]),
    "level without versions": leaving_out("tcbLevels", 0, "tcb"),
    "fifteen components": lambda members: members["tcbLevels"][0]["tcb"]["sgxtcbcomponents"].pop(),
    "seventeen components": lambda members: members["tcbLevels"][0]["tcb"]["sgxtcbcomponents"].append({"svn": 0}),
    "component 256": setting("tcbLevels", 0, "tcb", "sgxtcbcomponents", 0, "svn", to=256),
    "component true": setting("tcbLevels", 0, "tcb", "tdxtcbcomponents", 0, "svn", to=True),
    "no TDX components": leaving_out("tcbLevels", 0, "tcb", "tdxtcbcomponents"),
    "PCESVN of 17 bits": setting("tcbLevels", 0, "tcb", "pcesvn", to=1 << 16),
    "unknown status": setting("tcbLevels", 0, "tcbStatus", to="Fine"),
    "status that only evaluation gives": setting("tcbLevels", 0, "tcbStatus", to="TDRelaunchAdvised"),
    "no date": leaving_out("tcbLevels", 0, "tcbDate"),
    "equal levels": lambda members: members["tcbLevels"].append(members["tcbLevels"][0]),
    "advisory that is no text": setting("tcbLevels", 0, "advisoryIDs", to=[1]),
    "advisory without characters": setting("tcbLevels", 0, "advisoryIDs", to=[""]),
    "advisory with a space": setting("tcbLevels", 0, "advisoryIDs", to=["INTEL SA"]),
    "advisory of 33 characters": setting("tcbLevels", 0, "advisoryIDs", to=["A" * 33]),
    "advisories as a text": setting("tcbLevels", 0, "advisoryIDs", to="INTEL-SA-1"),
    "too many levels": lambda members: members["tcbLevels"].extend([members["tcbLevels"][0]] * LEVELS_MAX),
    "no identity of unversioned modules": leaving_out("tdxModule"),
    "mrsigner of 32 bytes": setting("tdxModule", "mrsigner", to="00" * 32),
    "attributes of 4 bytes": setting("tdxModule", "attributes", to="00" * 4),
    "no mask": leaving_out("tdxModule", "attributesMask"),
    "module without id": leaving_out("tdxModuleIdentities", 0, "id"),
    "module of three digits": setting("tdxModuleIdentities", 0, "id", to="TDX_001"),
    "module of one digit": setting("tdxModuleIdentities", 0, "id", to="TDX_1"),
    "module that is no number": setting("tdxModuleIdentities", 0, "id", to="TDX_0g"),
    "module in small letters": setting("tdxModuleIdentities", 0, "id", to="tdx_01"),
    "module of version 0": setting("tdxModuleIdentities", 0, "id", to="TDX_00"),
    "module twice": lambda members: members["tdxModuleIdentities"].append(members["tdxModuleIdentities"][0]),
    "too many modules": lambda members: members["tdxModuleIdentities"].extend([{}] * MODULES_MAX),
    "modules that are no list": setting("tdxModuleIdentities", to={}),
    "module without levels": setting("tdxModuleIdentities", 0, "tcbLevels", to=[]),
    "module of version 256": setting("tdxModuleIdentities", 0, "tcbLevels", 0, "tcb", "isvsvn", to=256),
    "equal levels of a module": setting("tdxModuleIdentities", 0, "tcbLevels", 1, "tcb", "isvsvn", to=8),
}
QE_FAULTS = {
    "id of the verifying enclave": setting("id", to="QVE"),
    "version 1": setting("version", to=1),
    "miscselect of 3 bytes": setting("miscselect", to="000000"),
    "no mask": leaving_out("miscselectMask"),
    "attributes of 8 bytes": setting("attributes", to="11" * 8),
    "mask that is no hex": setting("attributesMask", to="zz" * 16),
    "mrsigner of 48 bytes": setting("mrsigner", to="00" * 48),
    "isvprodid of 17 bits": setting("isvprodid", to=1 << 16),
    "isvsvn of 17 bits": setting("tcbLevels", 0, "tcb", "isvsvn", to=1 << 16),
    "empty levels": setting("tcbLevels", to=[]),
    "equal levels": setting("tcbLevels", 1, "tcb", "isvsvn", to=4),
    "no issue date": leaving_out("issueDate"),
    "number as a text": setting("tcbEvaluationDataNumber", to="20"),
}


@pytest.mark.parametrize("name", TCB_FAULTS)
def test_tcb_info_of_another_format_is_refused(name: str) -> None:
    with pytest.raises(JsonError):
        read_changed_tcb(TCB_FAULTS[name])


@pytest.mark.parametrize("name", QE_FAULTS)
def test_qe_identity_of_another_format_is_refused(name: str) -> None:
    with pytest.raises(JsonError):
        read_changed_qe(QE_FAULTS[name])


def test_as_many_advisories_as_one_byte_numbers_are_read() -> None:
    def naming(count: int) -> Change:
        def change(members: dict[str, Any]) -> None:
            members["tcbLevels"][0]["advisoryIDs"] = [f"INTEL-SA-{number}" for number in range(count - 1)]
            members["tcbLevels"][1]["advisoryIDs"] = ["INTEL-SA-last"]
            members["tdxModuleIdentities"][0]["tcbLevels"][1]["advisoryIDs"] = []

        return change

    assert read_changed_tcb(naming(ADVISORIES_MAX)).levels[1].advisories == b"\xff"
    with pytest.raises(JsonError):
        read_changed_tcb(naming(ADVISORIES_MAX + 1))


def test_levels_are_stored_by_svn_alone() -> None:
    assert read_changed_qe(id).levels[0] == SvnLevel(4, TcbStatus.UP_TO_DATE, 1_748_736_000, b"")
