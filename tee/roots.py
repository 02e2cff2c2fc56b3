"""The vendors' own roots of trust, whole certificates in DER, and what a verifier is told to trust.

A root is compared by all its bytes. AMD's authorities between root and leaf are kept too, because reports come without them;
they are not trusted by themselves, their signatures are checked against the root like all others. Roots of simulated hardware
carry a mark that reaches every verdict that rests on them; which family one copies, its name tells. Attestation specification,
sections 2.1 and 7.

Source: public files of the vendors; fingerprints (SHA-256 of the DER) are in the specification.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from tee.amd_roots import (
    AMD_GENOA_ARK,
    AMD_GENOA_ASK,
    AMD_GENOA_ASVK,
    AMD_MILAN_ARK,
    AMD_MILAN_ASK,
    AMD_MILAN_ASVK,
    AMD_TURIN_ARK,
    AMD_TURIN_ASK,
    AMD_TURIN_ASVK,
)
from tee.certificates import (
    AUTHORITY_KEY_ID,
    BASIC_CONSTRAINTS,
    CRL_DISTRIBUTION_POINTS,
    KEY_USAGE,
    SUBJECT_KEY_ID,
    Certificate,
    parse_certificate,
)
from tee.signatures import Curve, EcKey, RsaKey
from tee.vek import ARK_PRODUCTS, is_ask_of

INTEL_EXTENSIONS: Final = (
    AUTHORITY_KEY_ID,
    CRL_DISTRIBUTION_POINTS,
    SUBJECT_KEY_ID,
    KEY_USAGE,
    BASIC_CONSTRAINTS,
)
"""What all of Intel's certificates have."""

INTEL_SGX_ROOT: Final = bytes.fromhex(
    """
    3082028f30820234a003020102021422650cd65a9d3489f383b49552bf501b392706ac300a06082a8648ce3d0403023068311a30180603550403
    0c11496e74656c2053475820526f6f74204341311a3018060355040a0c11496e74656c20436f72706f726174696f6e3114301206035504070c0b
    53616e746120436c617261310b300906035504080c024341310b3009060355040613025553301e170d3138303532313130343531305a170d3439
    313233313233353935395a3068311a301806035504030c11496e74656c2053475820526f6f74204341311a3018060355040a0c11496e74656c20
    436f72706f726174696f6e3114301206035504070c0b53616e746120436c617261310b300906035504080c024341310b30090603550406130255
    533059301306072a8648ce3d020106082a8648ce3d030107034200040ba9c4c0c0c86193a3fe23d6b02cda10a8bbd4e88e48b4458561a36e7055
    25f567918e2edc88e40d860bd0cc4ee26aacc988e505a953558c453f6b0904ae7394a381bb3081b8301f0603551d2304183016801422650cd65a
    9d3489f383b49552bf501b392706ac30520603551d1f044b30493047a045a043864168747470733a2f2f6365727469666963617465732e747275
    7374656473657276696365732e696e74656c2e636f6d2f496e74656c534758526f6f7443412e646572301d0603551d0e0416041422650cd65a9d
    3489f383b49552bf501b392706ac300e0603551d0f0101ff04040302010630120603551d130101ff040830060101ff020101300a06082a8648ce
    3d0403020349003046022100e5bfe50911f92f428920dc368a302ee3d12ec5867ff622ec6497f78060c13c20022100e09d25ac7a0cb3e5e8e68f
    ec5fa3bd416c47440bd950639d450edcbea4576aa2
    """
)
"""Intel SGX Root CA, P-256, 2018 to 2049."""
AWS_NITRO_ROOT: Final = bytes.fromhex(
    """
    3082021130820196a003020102021100f93175681b90afe11d46ccb4e4e7f856300a06082a8648ce3d0403033049310b30090603550406130255
    53310f300d060355040a0c06416d617a6f6e310c300a060355040b0c03415753311b301906035504030c126177732e6e6974726f2d656e636c61
    766573301e170d3139313032383133323830355a170d3439313032383134323830355a3049310b3009060355040613025553310f300d06035504
    0a0c06416d617a6f6e310c300a060355040b0c03415753311b301906035504030c126177732e6e6974726f2d656e636c61766573307630100607
    2a8648ce3d020106052b8104002203620004fc0254eba608c1f36870e29ada90be46383292736e894bfff672d989444b5051e534a4b1f6dbe3c0
    bc581a32b7b176070ede12d69a3fea211b66e752cf7dd1dd095f6f1370f4170843d9dc100121e4cf63012809664487c9796284304dc53ff4a342
    3040300f0603551d130101ff040530030101ff301d0603551d0e041604149025b50dd90547e796c396fa729dcf99a9df4b96300e0603551d0f01
    01ff040403020186300a06082a8648ce3d0403030369003066023100a37f2f91a1c9bd5ee7b8627c1698d255038e1f0343f95b63a9628c3d3980
    9545a11ebcbf2e3b55d8aeee71b4c3d6adf3023100a2f39b1605b27028a5dd4ba069b5016e65b4fbde8fe0061d6a53197f9cdaf5d943bc61fc2b
    eb03cb6fee8d2302f3dff6
    """
)
"""aws.nitro-enclaves, G1, P-384, 2019 to 2049."""
NVIDIA_DEVICE_ROOT: Final = bytes.fromhex(
    """
    3082020b30820190a00302010202102d3670b1ca100411c1fec0e82a065b54300a06082a8648ce3d04030330353122302006035504030c194e56
    4944494120446576696365204964656e74697479204341310f300d060355040a0c064e56494449413020170d3231313130353030303030305a18
    0f39393939313233313233353935395a30353122302006035504030c194e564944494120446576696365204964656e74697479204341310f300d
    060355040a0c064e56494449413076301006072a8648ce3d020106052b81040022036200040e4c14a33bf8a5626658db4129607e4cbf4519c441
    2716f4d0d917c4978005bdeabeaefd57bc66082d718a4f8b6052e1516ee8a7c422b84de857071bb58fd395bea0cfa1c63ee7c80d6bd63901d91c
    bbd187d3857dc16b5cceaf238ff8c27dbda3633061300f0603551d130101ff040530030101ff300e0603551d0f0101ff040403020106301d0603
    551d0e041604145785ff83f263cc657d68b73a5bf48d4acbfb495f301f0603551d230418301680145785ff83f263cc657d68b73a5bf48d4acbfb
    495f300a06082a8648ce3d04030303690030660231008f7853374c04ac29055a4fef12d2c3bdbbdecf5460a913d77f238d884fb93751438b491f
    eabc9ca754e0f5bd02955dfd023100be118e79598a0306fb36c0f007d46c382db73050df1009f7fc6c5995e19c63091af85974cb14704a8db7e7
    7864815b00
    """
)
"""NVIDIA Device Identity CA, P-384, 2021 to 9999."""


class TrustedRoot(Struct, frozen=True, kw_only=True):
    """A root certificate, and what is known to be below it."""

    der: bytes
    is_simulated: bool
    """Whether evidence below it proves nothing about hardware."""
    intermediates: tuple[bytes, ...] = ()
    """Certificates in DER that the root issued and that evidence does not carry; only AMD has some."""


class Roots(Struct, frozen=True, kw_only=True):
    """Whom to trust, by family of evidence; a family without a root proves nothing."""

    intel: tuple[TrustedRoot, ...] = ()
    amd: tuple[TrustedRoot, ...] = ()
    """One for each product: ARK, with its ASK and ASVK below."""
    aws: tuple[TrustedRoot, ...] = ()
    nvidia: tuple[TrustedRoot, ...] = ()

    def __post_init__(self) -> None:
        """Read every root, so that no verifier meets one that cannot be read.

        Raises:
            ValueError: a root is no certificate, or not of its family's profile.
        """
        for root in self.intel:
            _check_intel_root(parse_certificate(root.der))
        if not all(isinstance(parse_certificate(root.der).key, RsaKey) for root in self.amd):
            raise ValueError("a root of AMD's has another key than RSA")
        for root in self.aws + self.nvidia:
            parse_certificate(root.der)


def _check_intel_root(root: Certificate) -> None:
    if not isinstance(root.key, EcKey) or root.key.curve is not Curve.P256:
        raise ValueError("a root of Intel's has no key on P-256")
    for oid in INTEL_EXTENSIONS:
        if oid not in root.extensions:
            raise ValueError(f"a root of Intel's has no extension {oid}")


VENDOR_ROOTS: Final = Roots(
    intel=(TrustedRoot(der=INTEL_SGX_ROOT, is_simulated=False),),
    amd=(
        TrustedRoot(
            der=AMD_MILAN_ARK,
            is_simulated=False,
            intermediates=(AMD_MILAN_ASK, AMD_MILAN_ASVK),
        ),
        TrustedRoot(
            der=AMD_GENOA_ARK,
            is_simulated=False,
            intermediates=(AMD_GENOA_ASK, AMD_GENOA_ASVK),
        ),
        TrustedRoot(
            der=AMD_TURIN_ARK,
            is_simulated=False,
            intermediates=(AMD_TURIN_ASK, AMD_TURIN_ASVK),
        ),
    ),
    aws=(TrustedRoot(der=AWS_NITRO_ROOT, is_simulated=False),),
    nvidia=(TrustedRoot(der=NVIDIA_DEVICE_ROOT, is_simulated=False),),
)
"""The roots of genuine hardware."""
_FAMILIES: Final = {
    "Intel SGX Root CA": "intel",
    **dict.fromkeys(ARK_PRODUCTS, "amd"),
    "aws.nitro-enclaves": "aws",
    "NVIDIA Device Identity CA": "nvidia",
}
"""Families by the common name of their roots."""


def read_simulated_roots(certificates: Iterable[bytes]) -> Roots:
    """Sort certificates of simulated hardware, DER, by family, in their order.

    A root has the common name of the root that it stands for. A certificate of another name is a CA below one of the ARKs.

    Raises:
        ValueError: no certificate, not of its family's profile, a vendor's own root, or below none of the roots given.
    """
    families: dict[str, list[bytes]] = {family: [] for family in Roots.__struct_fields__}
    authorities: list[bytes] = []
    for der in certificates:
        family = _FAMILIES.get(parse_certificate(der).common_name)
        (authorities if family is None else families[family]).append(der)
    genuine = {root.der for family in families for root in getattr(VENDOR_ROOTS, family)}
    roots = Roots(**{family: tuple(map(_simulated, ders)) for family, ders in families.items()})
    for root in (*roots.intel, *roots.amd, *roots.aws, *roots.nvidia):
        if root.der in genuine:
            raise ValueError("a vendor's own root is not simulated")
    below = [(der, root.der) for der in authorities for root in roots.amd if _is_below(der, root.der)]
    if len(below) != len(authorities):
        raise ValueError("a certificate is neither a root of a family nor below one root of AMD's")
    amd = (replace(root, intermediates=tuple(der for der, ark in below if ark == root.der)) for root in roots.amd)
    return replace(roots, amd=tuple(amd))


def _simulated(der: bytes) -> TrustedRoot:
    return TrustedRoot(der=der, is_simulated=True)


def _is_below(der: bytes, ark: bytes) -> bool:
    return isinstance(parse_certificate(der).key, RsaKey) and is_ask_of(der, ark)
