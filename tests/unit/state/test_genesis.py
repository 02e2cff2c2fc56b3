"""The genesis: what is sound, what it hashes to, and the state it makes."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import json
from msgspec.structs import replace

from bocc.wallet import development_key
from state import development
from state.address import account_address, format_address
from state.codec import encode
from state.crypto import SigningKey
from state.development import is_development_address, is_development_key
from state.errors import Rejected
from state.genesis import (
    SUPPLY_MAX,
    Genesis,
    GenesisAccount,
    GenesisReason,
    GenesisRejected,
    GenesisValidator,
    check_genesis,
    genesis_state,
    hash_genesis,
)
from state.genesis_file import format_genesis, parse_genesis
from state.keyfile import KeyKind
from state.params import Params, ParamsReason, ParamsRejected, check_params
from state.records import ACCOUNTS, CURRENT_SET, MONEY, ONLY, PARAMS
from state.runtime.prices import PriceTable
from state.runtime.trust.documents import roots_of
from tee.roots import AWS_NITRO_ROOT, VENDOR_ROOTS, Roots
from tee.simulated_root import SIMULATED_ROOT_DER
from tests.support.chain_builders import account, make_genesis, make_ledger, operator, validator_key, with_params
from tests.support.vendor_machines import vendors_genesis

STRANGER = b"\x00" + b"\x77" * 20
ROOT_FILE = Path(__file__).resolve().parents[3] / "genesis.json"


def public_genesis(**values: object) -> Genesis:
    """Return a genesis without any well-known key."""
    validator = GenesisValidator(operator=STRANGER, consensus_key=SigningKey(b"\x55" * 32).public_key, stake=10**12)
    base = replace(
        make_genesis(),
        development=False,
        simulated_roots=(),
        accounts=(GenesisAccount(address=STRANGER, balance=5),),
        validators=(validator,),
    )
    return replace(base, **values)


def test_the_file_at_the_root_is_the_development_genesis_of_four_validators() -> None:
    genesis = parse_genesis(ROOT_FILE.read_bytes())
    expected = make_genesis(4, salt=genesis.salt, time_ms=genesis.time_ms)
    assert genesis == replace(expected, chain_name="bocc-local-1")
    assert format_genesis(genesis) == ROOT_FILE.read_bytes()


def test_a_genesis_survives_its_file() -> None:
    genesis = public_genesis()
    assert parse_genesis(format_genesis(genesis)) == genesis


def test_spaces_and_order_of_members_do_not_change_the_chain_id() -> None:
    genesis = make_genesis()
    members = json.decode(format_genesis(genesis))
    shuffled = json.encode(dict(reversed(members.items())))
    assert parse_genesis(shuffled).chain_id == genesis.chain_id


def test_every_member_changes_the_chain_id() -> None:
    genesis = public_genesis()
    others = [
        replace(genesis, chain_name="other"),
        replace(genesis, development=True),
        replace(genesis, salt=b"\1" * 32),
        replace(genesis, time_ms=genesis.time_ms + 1),
        with_params(genesis, "fees", base=1),
        replace(genesis, treasury=0),
        replace(genesis, accounts=()),
        replace(genesis, validators=(replace(genesis.validators[0], stake=10**13),)),
    ]
    assert len({hash_genesis(other) for other in [genesis, *others]}) == 9


def changed(path: list[str | int], member: object) -> bytes:
    """Return the development file with one member replaced, or removed (None)."""
    document = json.decode(format_genesis(make_genesis()))
    parent = document
    for step in path[:-1]:
        parent = parent[step]
    if member is None:
        del parent[path[-1]]
    else:
        parent[path[-1]] = member
    return json.encode(document)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[]", id="no object"),
        pytest.param(changed(["surprise"], 1), id="unknown member"),
        pytest.param(changed(["salt"], None), id="missing member"),
        pytest.param(changed(["salt"], "00"), id="short salt"),
        pytest.param(changed(["salt"], "zz" * 32), id="no hex"),
        pytest.param(changed(["time_ms"], 1.5), id="float"),
        pytest.param(changed(["treasury"], "1_000"), id="underscore"),
        pytest.param(changed(["treasury"], "007"), id="leading zeros"),
        pytest.param(changed(["treasury"], "-1"), id="negative"),
        pytest.param(changed(["treasury"], "9223372036854775808"), id="too large"),
        pytest.param(changed(["treasury"], 5), id="amount as number"),
        pytest.param(changed(["accounts", 0, "address"], "bocc1qqqq"), id="bad address"),
        pytest.param(changed(["params", "fees", "base"], None), id="missing parameter"),
        pytest.param(changed(["params", "fees", "tip"], 1), id="unknown parameter"),
        pytest.param(changed(["params", "fees", "base"], -1), id="parameter out of range"),
        pytest.param(changed(["params", "fees"], []), id="group as list"),
        pytest.param(changed(["params", "fees", "work_overrides"], [{"message": 1}]), id="half an override"),
        pytest.param(changed(["chain_name"], "UPPER"), id="bad name"),
        pytest.param(changed(["chain_name"], "bocc-test-1\n"), id="name with a line end"),
        pytest.param(changed(["validators"], []), id="no validators"),
    ],
)
def test_a_file_that_is_not_exactly_a_genesis_is_refused(text: bytes) -> None:
    with pytest.raises(GenesisRejected) as rejection:
        parse_genesis(text)
    assert rejection.value.reason is GenesisReason.BAD_FILE


def test_a_file_may_override_the_work_of_messages() -> None:
    text = changed(["params", "fees", "work_overrides"], [{"message": 1, "work": 5}])
    assert parse_genesis(text).params.fees.work_overrides[0].work == 5


def rejection_of(genesis: Genesis) -> tuple[object, object, object]:
    with pytest.raises(Rejected) as rejection:
        check_genesis(genesis)
    return rejection.value.reason, rejection.value.seen, rejection.value.bound


ONE = public_genesis().validators[0]
TWO = GenesisValidator(operator=b"\x00" + b"\x78" * 20, consensus_key=SigningKey(b"\x56" * 32).public_key, stake=10**12)


@pytest.mark.parametrize(
    ("genesis", "reason"),
    [
        pytest.param(public_genesis(validators=(TWO, ONE)), GenesisReason.NOT_SORTED, id="validators unsorted"),
        pytest.param(public_genesis(validators=(ONE, ONE)), GenesisReason.NOT_SORTED, id="validator twice"),
        pytest.param(
            public_genesis(accounts=(GenesisAccount(address=STRANGER, balance=1),) * 2),
            GenesisReason.NOT_SORTED,
            id="account twice",
        ),
        pytest.param(
            public_genesis(accounts=(GenesisAccount(address=b"\x01" + bytes(20), balance=1),)),
            GenesisReason.NOT_AN_ACCOUNT,
            id="resource address",
        ),
        pytest.param(
            public_genesis(validators=(ONE, replace(TWO, consensus_key=ONE.consensus_key))),
            GenesisReason.KEY_TWICE,
            id="key twice",
        ),
        pytest.param(
            with_params(public_genesis(), "consensus", validators_min=2),
            GenesisReason.WRONG_VALIDATOR_COUNT,
            id="too few",
        ),
        pytest.param(
            with_params(public_genesis(validators=(ONE, TWO)), "consensus", validators_max=1),
            GenesisReason.WRONG_VALIDATOR_COUNT,
            id="too many",
        ),
        pytest.param(public_genesis(validators=(replace(ONE, stake=1),)), GenesisReason.STAKE_TOO_LOW, id="low stake"),
        pytest.param(public_genesis(treasury=SUPPLY_MAX), GenesisReason.SUPPLY_TOO_LARGE, id="supply"),
        pytest.param(
            with_params(public_genesis(), "staking", unbonding_ms=1, evidence_age_ms=1),
            ParamsReason.TOO_SHORT,
            id="unbonding before evidence ends",
        ),
        pytest.param(
            with_params(
                with_params(public_genesis(), "staking", unbonding_ms=1_500, evidence_age_ms=1_000),
                "consensus",
                validator_update_interval_ms=500,
            ),
            ParamsReason.TOO_SHORT,
            id="unbonding before evidence of the last interval in the set ends",
        ),
        pytest.param(with_params(public_genesis(), "consensus", timer_min_ms=0), ParamsReason.TOO_SHORT, id="timer 0"),
        pytest.param(with_params(public_genesis(), "consensus", precision_ms=0), ParamsReason.TOO_SHORT, id="clocks"),
        pytest.param(
            with_params(public_genesis(), "consensus", message_delay_ms=0), ParamsReason.TOO_SHORT, id="no travel"
        ),
        pytest.param(
            with_params(public_genesis(), "blocks", expiry_ahead_ms_max=0), ParamsReason.TOO_SHORT, id="expiry"
        ),
        pytest.param(with_params(public_genesis(), "governance", voting_ms=0), ParamsReason.TOO_SHORT, id="no vote"),
        *(
            pytest.param(
                with_params(public_genesis(), "governance", **{name: share_bp}), ParamsReason.UNGOVERNABLE, id=name
            )
            for name, share_bp in (("pass_bp", 10_000), ("veto_bp", 0), ("brake_bp", 5_000))
        ),
        *(
            pytest.param(with_params(public_genesis(), group, **{name: value}), reason, id=f"{name} {value}")
            for group, name, value, reason in (
                ("consensus", "timer_max_ms", 600_001, ParamsReason.UNGOVERNABLE),
                ("consensus", "min_block_interval_ms", 8_001, ParamsReason.OUT_OF_ORDER),
                ("governance", "proposal_deposit", 10_000 * 10**6 + 1, ParamsReason.UNGOVERNABLE),
                ("governance", "voting_ms", 999, ParamsReason.TOO_SHORT),
                ("blocks", "expiry_ahead_ms_max", 999, ParamsReason.TOO_SHORT),
                ("fees", "base", 10_000 * 10**6 - 10 * 1_024 - 459, ParamsReason.UNGOVERNABLE),
                ("fees", "per_work", 10**8, ParamsReason.UNGOVERNABLE),
            )
        ),
        pytest.param(
            with_params(public_genesis(), "consensus", timer_min_ms=1, timer_first_ms=999, timer_max_ms=999),
            ParamsReason.TOO_SHORT,
            id="views too short for any network",
        ),
        pytest.param(
            with_params(public_genesis(), "blocks", work_max=PriceTable(public_genesis().params).dearest_work - 1),
            ParamsReason.TOO_LITTLE_WORK,
            id="dearest transaction fits no block",
        ),
        pytest.param(public_genesis(time_ms=(1 << 50) + 1), GenesisReason.TIME_TOO_LATE, id="time"),
        pytest.param(
            public_genesis(validators=(replace(ONE, consensus_key=bytes(32)),)),
            GenesisReason.UNUSABLE_KEY,
            id="key of small order",
        ),
        pytest.param(
            public_genesis(validators=(replace(ONE, consensus_key=b"\x02" + bytes(31)),)),
            GenesisReason.UNUSABLE_KEY,
            id="key that is no point",
        ),
    ],
)
def test_an_unsound_genesis_is_refused(genesis: Genesis, reason: object) -> None:
    assert rejection_of(genesis)[0] is reason


@pytest.mark.parametrize(
    "genesis",
    [
        public_genesis(accounts=(GenesisAccount(address=account(3), balance=1),)),
        public_genesis(validators=(replace(ONE, operator=operator(2)),)),
        public_genesis(validators=(replace(ONE, consensus_key=validator_key(2).public_key),)),
    ],
    ids=["account", "operator", "consensus key"],
)
def test_well_known_keys_are_refused_outside_development(genesis: Genesis) -> None:
    assert rejection_of(genesis)[0] is GenesisReason.DEVELOPMENT_KEY
    check_genesis(replace(genesis, development=True))


def test_parameters_at_their_bounds_are_sound() -> None:
    genesis = public_genesis(time_ms=1 << 50)
    dearest = PriceTable(genesis.params).dearest_work
    genesis = with_params(genesis, "blocks", work_max=dearest)
    genesis = with_params(genesis, "staking", unbonding_ms=1_501, evidence_age_ms=1_000)
    genesis = with_params(genesis, "governance", proposal_deposit=10_000 * 10**6, voting_ms=1_000)
    genesis = with_params(genesis, "fees", base=10_000 * 10**6 - 10 * 1_024 - 460)
    genesis = with_params(genesis, "consensus", validator_update_interval_ms=500, timer_min_ms=1)
    check_genesis(with_params(genesis, "consensus", timer_first_ms=1, timer_max_ms=1_000))
    check_genesis(with_params(genesis, "consensus", timer_max_ms=600_000, min_block_interval_ms=600_000))


def test_file_that_nests_too_deep_is_refused() -> None:
    with pytest.raises(GenesisRejected) as caught:
        parse_genesis(b'{"params":{"a":' + b"[" * 200_000)
    assert caught.value.reason is GenesisReason.BAD_FILE


def test_listed_development_keys_are_those_of_the_mnemonic() -> None:
    for kind in KeyKind:
        listed = getattr(development, f"DEVELOPMENT_{kind.name}_KEYS")
        assert listed == tuple(development_key(kind, index).public_key for index in range(16))
        assert all(is_development_key(key) and is_development_address(account_address(key)) for key in listed)
    assert not is_development_key(bytes(32))
    assert not is_development_address(STRANGER)


def test_state_holds_the_money_of_the_genesis_and_the_first_set() -> None:
    genesis = make_genesis(4)
    ledger = make_ledger(genesis)
    records, validators = genesis_state(genesis)
    assert ledger.get(MONEY, ONLY).issued == SUPPLY_MAX
    assert ledger.get(PARAMS, ONLY) == genesis.params
    assert ledger.get(CURRENT_SET, ONLY).members == validators.members
    assert ledger.get(ACCOUNTS, account(0)).balance == 10**12
    assert [member.address for member in validators.members] == sorted(operator(index) for index in range(4))
    assert validators.total_power == 40_000_000
    assert len(records) == 14 - 2 + len(genesis.accounts) + 4 * 4


def test_addresses_in_the_file_are_readable() -> None:
    assert format_address(account(0)) in format_genesis(make_genesis()).decode()


@pytest.mark.parametrize(
    ("group", "values"),
    [
        ("consensus", {"timer_min_ms": 2_000}),
        ("consensus", {"timer_first_ms": 9_000}),
        ("consensus", {"validators_min": 101}),
        ("blocks", {"large_envelope_bytes_max": 1 << 10}),
        ("blocks", {"bytes_max": 1 << 18}),
    ],
)
def test_parameters_out_of_order_are_refused(group: str, values: dict[str, int]) -> None:
    params: Params = with_params(make_genesis(), group, **values).params
    with pytest.raises(ParamsRejected) as rejection:
        check_params(params)
    assert rejection.value.reason is ParamsReason.OUT_OF_ORDER


def test_work_overrides_must_be_sorted_and_distinct() -> None:
    params = parse_genesis(changed(["params", "fees", "work_overrides"], [{"message": 1, "work": 5}])).params
    twice = replace(params, fees=replace(params.fees, work_overrides=params.fees.work_overrides * 2))
    with pytest.raises(ParamsRejected):
        check_params(twice)
    assert encode(twice) != encode(params)


def test_simulated_roots_are_for_development_alone() -> None:
    with pytest.raises(GenesisRejected) as caught:
        check_genesis(public_genesis(simulated_roots=make_genesis().simulated_roots))
    assert caught.value.reason is GenesisReason.SIMULATED_ROOT
    with pytest.raises(GenesisRejected) as caught:
        check_genesis(replace(make_genesis(), simulated_roots=(b"no certificate",)))
    assert caught.value.reason is GenesisReason.SIMULATED_ROOT
    with pytest.raises(GenesisRejected) as caught:
        check_genesis(replace(make_genesis(), simulated_roots=(AWS_NITRO_ROOT,)))
    assert caught.value.reason is GenesisReason.SIMULATED_ROOT


def test_trust_begins_with_the_roots_of_all_vendors_and_the_simulated_ones_of_the_genesis() -> None:
    public, development = roots_of(make_ledger(public_genesis())), roots_of(make_ledger())
    assert public == VENDOR_ROOTS
    assert [root.is_simulated for root in development.intel] == [False, True]
    assert development.intel[1].der == SIMULATED_ROOT_DER


def test_a_development_genesis_names_simulated_roots_of_every_family() -> None:
    genesis = vendors_genesis()
    check_genesis(genesis)
    assert parse_genesis(format_genesis(genesis)) == genesis
    roots = roots_of(make_ledger(genesis))
    simulated = {name: [each.is_simulated for each in getattr(roots, name)] for name in Roots.__struct_fields__}
    assert simulated == {
        "intel": [False, True],
        "amd": [False] * 3 + [True] * 2,
        "aws": [False, True],
        "nvidia": [False, True],
    }
    assert [len(each.intermediates) for each in roots.amd] == [2, 2, 2, 2, 1]
