"""The genesis of a development chain: well-known accounts with money, short delays.

`genesis.json` at the root is this genesis with four validators. `bocc testnet up` builds its own with a random salt.
"""

from __future__ import annotations

from typing import Final

from state.address import account_address
from state.development import (
    DEVELOPMENT_ACCOUNT_KEYS,
    DEVELOPMENT_NODE_KEYS,
    DEVELOPMENT_OPERATOR_KEYS,
    DEVELOPMENT_PROVIDER_KEYS,
    DEVELOPMENT_VALIDATOR_KEYS,
)
from state.genesis import SUPPLY_MAX, Genesis, GenesisAccount, GenesisValidator
from state.params import (
    AccountParams,
    AttestationParams,
    BlockParams,
    ConsensusParams,
    FeeParams,
    GovernanceParams,
    MarketParams,
    Params,
    StakingParams,
)
from tee.simulated_root import SIMULATED_ROOT_DER

BOCC: Final = 10**6
"""ubocc in one BOCC."""
SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60 * SECOND_MS
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS

FUNDED_ACCOUNTS: Final = 10
ACCOUNT_BALANCE: Final = 1_000_000 * BOCC
NODE_BALANCE: Final = 1_000 * BOCC
"""From which a node pays for its reports."""
PROVIDER_BALANCE: Final = 10_000 * BOCC
OPERATOR_BALANCE: Final = 1_000 * BOCC
OPERATOR_STAKE: Final = 10_000_000 * BOCC

DEVELOPMENT_PARAMS: Final = Params(
    fees=FeeParams(base=1_000, per_byte=10, per_work=1, signature_work=60, work_overrides=()),
    blocks=BlockParams(
        bytes_max=4 << 20,
        transactions_max=10_000,
        work_max=250_000,
        envelope_bytes_max=64 << 10,
        large_envelope_bytes_max=320 << 10,
        expiry_ahead_ms_max=HOUR_MS,
        deadlines_max=256,
        reappraisals_max=512,
        order_reviews_max=512,
    ),
    consensus=ConsensusParams(
        heartbeat_ms=MINUTE_MS,
        min_block_interval_ms=0,
        timer_min_ms=200,
        timer_first_ms=1_000,
        timer_max_ms=8_000,
        precision_ms=500,
        message_delay_ms=2_000,
        validator_update_interval_ms=SECOND_MS,
        validators_max=100,
        validators_min=1,
    ),
    staking=StakingParams(
        own_stake_min=10_000 * BOCC,
        unbonding_ms=5 * MINUTE_MS,
        evidence_age_ms=3 * MINUTE_MS,
        slash_bp=500,
        reporter_bp=500,
        downtime_window=1_000,
        downtime_bp=5_000,
        jail_ms=MINUTE_MS,
    ),
    accounts=AccountParams(auth_delay_ms=30 * SECOND_MS),
    attestation=AttestationParams(
        max_age_ms=7 * DAY_MS,
        challenge_window_ms=10 * MINUTE_MS,
        collateral_grace_ms=7 * DAY_MS,
        tcb_grace_ms=15 * DAY_MS,
        promotion_delay_ms=30 * DAY_MS,
        collateral_age_ms_max=31 * DAY_MS,
        news_interval_ms=0,
        verifier_cap_ms=DAY_MS,
        platform_enclaves_max=64,
        platform_notice_ms=5 * MINUTE_MS,
        enclave_keep_ms=30 * DAY_MS,
    ),
    governance=GovernanceParams(
        voting_ms=2 * MINUTE_MS,
        timelock_ms=MINUTE_MS,
        quorum_bp=4_000,
        pass_bp=5_000,
        veto_bp=3_340,
        brake_bp=6_667,
        brake_ms_max=72 * HOUR_MS,
        proposal_deposit=100 * BOCC,
    ),
    market=MarketParams(
        storage_bond_per_byte=10,
        fee_bp=200,
        settle_every_ms=10 * SECOND_MS,
        order_keep_ms=30 * DAY_MS,
        beat_ms_min=SECOND_MS,
    ),
)
"""Parameters of development chains: those of a public chain would have delays of days where these have minutes."""


def development_genesis(chain_name: str, validator_count: int, salt: bytes, time_ms: int) -> Genesis:
    """Return a genesis for 1 to 16 development validators with equal stake; the treasury holds what is left of 10^9 BOCC."""
    balances = {
        **_balances(DEVELOPMENT_ACCOUNT_KEYS[:FUNDED_ACCOUNTS], ACCOUNT_BALANCE),
        **_balances(DEVELOPMENT_NODE_KEYS, NODE_BALANCE),
        **_balances(DEVELOPMENT_PROVIDER_KEYS, PROVIDER_BALANCE),
        **_balances(DEVELOPMENT_OPERATOR_KEYS[:validator_count], OPERATOR_BALANCE),
    }
    validators = [
        GenesisValidator(
            operator=account_address(DEVELOPMENT_OPERATOR_KEYS[index]),
            consensus_key=DEVELOPMENT_VALIDATOR_KEYS[index],
            stake=OPERATOR_STAKE,
        )
        for index in range(validator_count)
    ]
    return Genesis(
        chain_name=chain_name,
        development=True,
        salt=salt,
        time_ms=time_ms,
        params=DEVELOPMENT_PARAMS,
        simulated_roots=(SIMULATED_ROOT_DER,),
        treasury=SUPPLY_MAX - sum(balances.values()) - validator_count * OPERATOR_STAKE,
        accounts=tuple(
            GenesisAccount(address=address, balance=balance) for address, balance in sorted(balances.items())
        ),
        validators=tuple(sorted(validators, key=lambda validator: validator.operator)),
    )


def _balances(public_keys: tuple[bytes, ...], balance: int) -> dict[bytes, int]:
    return {account_address(public_key): balance for public_key in public_keys}
