"""Laws of mnemonics, derivation and keyrings; vectors of SLIP-0010 and BIP-39."""

from __future__ import annotations

import pytest

from bocc.wallet import (
    DEVELOPMENT_MNEMONIC,
    Keyring,
    WalletReason,
    WalletRejected,
    derivation_path,
    derive,
    development_key,
    master_key,
    mnemonic_seed,
    new_mnemonic,
)
from state.crypto import SigningKey
from state.development import (
    DEVELOPMENT_ACCOUNT_KEYS,
    DEVELOPMENT_NODE_KEYS,
    DEVELOPMENT_OPERATOR_KEYS,
    DEVELOPMENT_PROVIDER_KEYS,
    DEVELOPMENT_VALIDATOR_KEYS,
)
from state.keyfile import KdfStrength, KeyFileReason, KeyFileRejected, KeyKind

SLIP10 = [
    (
        "000102030405060708090a0b0c0d0e0f",
        {
            "m": "2b4be7f19ee27bbf30c667b642d5f4aa69fd169872f8fc3059c08ebae2eb19e7",
            "m/0'": "68e0fe46dfb67e368c75379acec591dad19df3cde26e63b93a8e704f1dade7a3",
            "m/0'/1'": "b1d0bad404bf35da785a64ca1ac54b2617211d2777696fbffaf208f746ae84f2",
            "m/0'/1'/2'": "92a5b23c0b8a99e37d07df3fb9966917f5d06e02ddbd909c7e184371463e9fc9",
            "m/0'/1'/2'/2'": "30d1dc7e5fc04c31219ab25a27ae00b50f6fd66622f6e9c913253d6511d1e662",
            "m/0'/1'/2'/2'/1000000000'": "8f94d394a8e8fd6b1bc2f3f49f5c47e385281d5c17e65324b0f62483e37e8793",
        },
    ),
    (
        bytes(range(255, 0, -3))[:64].hex(),
        {
            "m": "171cb88b1b3c1db25add599712e36245d75bc65a1a5c9e18d76f9f2b1eab4012",
            "m/0'": "1559eb2bbec5790b0c65d8693e4d0875b1747f4970ae8b650486ed7470845635",
            "m/0'/2147483647'": "ea4f5bfe8694d8bb74b7b59404632fd5968b774ed545e810de9c32a4fb4192f4",
            "m/0'/2147483647'/1'": "3757c7577170179c7868353ada796c839135b3d30554bbb74a4b1e4a5a58505c",
            "m/0'/2147483647'/1'/2147483646'": "5837736c89570de861ebc173b1086da4f505d4adb387c6a1b1342d5e4ac9ec72",
            "m/0'/2147483647'/1'/2147483646'/2'": "551d333177df541ad876a60ea71f00447931c0a9da16f227c11ea080d7391b8d",
        },
    ),
]


@pytest.mark.parametrize(
    ("seed", "path", "private"),
    [(seed, path, private) for seed, chain in SLIP10 for path, private in chain.items()],
)
def test_derivation_matches_the_vectors_of_slip10(seed, path, private):
    assert derive(bytes.fromhex(seed), path).hex() == private


def test_master_key_matches_chain_code_and_public_key_of_slip10():
    master = master_key(bytes.fromhex(SLIP10[0][0]))
    assert master.chain_code.hex() == "90046a93de5380a72b5e45010748567d5ea02bbf6522f979e05c0d8d8ca9fffb"
    public_key = SigningKey(master.seed).public_key
    assert public_key.hex() == "a4b2856bfec510abab89753fac1ac0e1112364e7d250545963f135f2a33188ed"


def test_mnemonic_seed_matches_the_vector_of_bip39():
    words = " ".join(["abandon"] * 23 + ["art"])
    assert mnemonic_seed(words, "TREZOR").hex() == (
        "bda85446c68413707090a52022edd26a1c9462295029f2e60cd7c4f2bbd30971"
        "70af7a4d73245cafa9c3cca8d561a7c3de6f5d4a10be8ed2a5e608d68f92fcc8"
    )


def test_new_mnemonic_has_24_valid_words_and_is_never_the_same():
    first, second = new_mnemonic(), new_mnemonic()
    assert len(first.split()) == 24
    assert first != second
    assert mnemonic_seed(first) != mnemonic_seed(second)


def test_case_and_spacing_of_a_mnemonic_do_not_matter():
    assert mnemonic_seed(f"  {DEVELOPMENT_MNEMONIC.upper()}\n") == mnemonic_seed(DEVELOPMENT_MNEMONIC)


@pytest.mark.parametrize("words", ["", "test test", DEVELOPMENT_MNEMONIC[:-4] + "test", "tset " * 12])
def test_wrong_mnemonic_is_refused_without_repeating_it(words):
    with pytest.raises(WalletRejected) as caught:
        mnemonic_seed(words)
    assert caught.value.reason is WalletReason.BAD_MNEMONIC
    assert "test test" not in str(caught.value)


@pytest.mark.parametrize("path", ["", "0'", "m/", "m/0", "m/0'/1", "m/00'", "m/-1'", "m/2147483648'", "m/0'x", "M/0'"])
def test_path_with_other_than_hardened_steps_is_refused(path):
    with pytest.raises(WalletRejected) as caught:
        derive(bytes(64), path)
    assert caught.value.reason is WalletReason.BAD_PATH


def test_every_kind_has_its_own_path():
    paths = [derivation_path(kind, 3) for kind in KeyKind]
    assert paths == [f"m/44'/9797'/{kind}'/3'" for kind in range(5)]


def test_development_keys_never_change():
    """The keys are public and stand in documents: a change here would be seen by everybody."""
    assert development_key(KeyKind.ACCOUNT, 0).public_key.hex() == PINNED_ACCOUNT
    assert development_key(KeyKind.VALIDATOR, 0).public_key.hex() == PINNED_VALIDATOR


@pytest.mark.parametrize(
    ("kind", "public_keys"),
    [
        (KeyKind.ACCOUNT, DEVELOPMENT_ACCOUNT_KEYS),
        (KeyKind.VALIDATOR, DEVELOPMENT_VALIDATOR_KEYS),
        (KeyKind.NODE, DEVELOPMENT_NODE_KEYS),
        (KeyKind.PROVIDER, DEVELOPMENT_PROVIDER_KEYS),
        (KeyKind.OPERATOR, DEVELOPMENT_OPERATOR_KEYS),
    ],
)
def test_keys_that_a_chain_refuses_are_those_that_the_mnemonic_gives(kind, public_keys):
    assert tuple(development_key(kind, index).public_key for index in range(len(public_keys))) == public_keys


PINNED_ACCOUNT = "9e396a6a20e322bdcbac46650b748b0222cbd256f879a98f1c52ed43e446d266"
PINNED_VALIDATOR = "30ccadc7e29296e96f9389579a11779fefb934e794fa9e98f77a06fc0870ed52"


def test_keyring_returns_what_was_added(tmp_path):
    ring = Keyring(tmp_path)
    added = ring.add("bob", bytes(32), KeyKind.ACCOUNT, b"secret", KdfStrength.INTERACTIVE, "m/0'")
    ring.add("alice", bytes(range(32)), KeyKind.PROVIDER, None)
    assert ring.names() == ["alice", "bob"]
    assert ring.describe("bob") == added
    assert ring.load("bob", b"secret").seed == bytes(32)
    assert ring.load("alice").kind is KeyKind.PROVIDER


def test_keyring_never_replaces_a_key(tmp_path):
    ring = Keyring(tmp_path)
    ring.add("bob", bytes(32), KeyKind.ACCOUNT, None)
    with pytest.raises(KeyFileRejected) as caught:
        ring.add("bob", bytes(range(32)), KeyKind.ACCOUNT, None)
    assert caught.value.reason is KeyFileReason.EXISTS


@pytest.mark.parametrize("name", ["", "../bob", "Bob", "a/b", "-bob", "b" * 33, "bob.json", "bob\n"])
def test_name_that_could_leave_the_keyring_is_refused(tmp_path, name):
    with pytest.raises(WalletRejected) as caught:
        Keyring(tmp_path).load(name)
    assert caught.value.reason is WalletReason.BAD_NAME


def test_keyring_of_a_new_home_is_empty(tmp_path):
    assert Keyring(tmp_path / "absent").names() == []
