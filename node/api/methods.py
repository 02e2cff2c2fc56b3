"""The table of all methods: names and shapes are fixed, `docs/openrpc.json` shows them, and each has an example that tests run.

Examples speak of the fixture chain of the tests (tests/support/fixture_chain.py), where they give a result.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw

from node.api.context import Call, Documents
from node.api.errors import ErrorCode
from node.api.event_feed import Page
from node.api.governance_reads import ProposalParams, ProposalsParams, read_proposal, read_proposals
from node.api.market_reads import (
    EndorsementsParams,
    MarketParams,
    ProviderParams,
    ResourcesParams,
    UsageParams,
    WhoCanUseParams,
    read_endorsements,
    read_market,
    read_provider,
    read_resources,
    read_usage,
    read_who_can_use,
)
from node.api.node_reads import (
    ExplainParams,
    MempoolParams,
    explain_tx,
    read_consensus_state,
    read_mempool,
    read_net_info,
    read_status,
)
from node.api.openrpc import describe
from node.api.order_reads import OrderParams, OrdersParams, read_order, read_orders
from node.api.reads import (
    AccountParams,
    AtHeight,
    BlockParams,
    BlocksParams,
    RecordsParams,
    StateProofParams,
    read_account,
    read_block,
    read_blocks,
    read_genesis,
    read_params,
    read_records,
    read_state_proof,
    read_validators,
)
from node.api.registry import Method, NoParams, method
from node.api.streams import (
    EventsParams,
    SubscribeParams,
    UnsubscribeParams,
    read_events,
    subscribe,
    unsubscribe,
)
from node.api.transactions import (
    FaucetParams,
    TxParams,
    TxSubmitParams,
    TxWaitParams,
    read_tx,
    request_faucet,
    submit_tx,
    wait_tx,
)
from node.api.trust_reads import (
    AppraiseParams,
    CollateralParams,
    EnclaveParams,
    EnclavesParams,
    ForecastParams,
    PageParams,
    ResourceParams,
    appraise_evidence,
    read_collateral,
    read_collaterals,
    read_enclave,
    read_enclaves,
    read_forecast,
    read_resource,
)
from node.api.views import (
    AccountView,
    BlocksView,
    BlockView,
    RecordsView,
    StateProofView,
    TxOutcome,
    TxView,
    ValidatorsView,
)
from node.api.views_governance import ProposalsView, ProposalVotesView
from node.api.views_market import (
    EndorsementsView,
    MarketView,
    ProviderView,
    ResourcesView,
    UsageView,
    WhoCanUseView,
)
from node.api.views_node import (
    ConsensusView,
    ExplainView,
    MempoolView,
    NetInfoView,
    StatusView,
    SubscriptionView,
)
from node.api.views_order import OrdersView, OrderView
from node.api.views_trust import (
    AppraisalView,
    CollateralsView,
    CollateralView,
    EnclavesView,
    EnclaveView,
    ForecastsView,
    ResourceView,
)
from state.genesis import Genesis
from state.genesis_file import format_genesis

EXAMPLE_ADDRESS: Final = "bocc1qq2umswpyqlguyy8jpfuxhf7qrdq7at82uz36ch9"
EXAMPLE_TX_ID: Final = "50b6c329a45870551045e55a107842473f4835a977d68d42ef33171cfc2a0e9a"
EXAMPLE_TX: Final = (
    "9296c41500cbbb21a23841a2ecb2279e75f4e3725aab784c5300cf00000197742a03c0cd0b0e919301c415008177407fa11b"
    "92449c7a4e17af06684d44f1d242ce006acfc0c4009192c420706f00b782e74dac26f5c0f0a71b93c535c76a9694b7a09874"
    "2e4ad644905db5c440c5bbdf1f1bf0b8a48f95431d54ce4267ce534badfbf16caeb07ad6ce7c8ef3e12df464fb5acd0c5342"
    "fa82369809b1245a480dd1e6850ee47e44acffca329000"
)
"""A transfer that was never submitted there."""
EXAMPLE_COLLATERAL: Final = "0343f0ddb269039c90341683c928cdbb587d9ea8070000000000000014"
EXAMPLE_ENCLAVE: Final = "boccenc1q0e724f283jfpxq3hgudhpjquwkww6hptqdv9xrd"
EXAMPLE_RESOURCE: Final = "boccres1qxrnk87sgzrgp909jlck53zs8nt4vgdl2s7nrnj8"
"""From the blocks that the fixture chain adds for trust."""
EXAMPLE_ORDER: Final = "boccord1q2pyed86eptxl9aw3t9g2ayq4jap0ht9yucy7l7a"
EXAMPLE_PROVIDER: Final = "bocc1qrqep64vg0dy07kajx7ycdwf0szda4678g7vyp09"
EXAMPLE_ENDORSER: Final = "bocc1qrnlc5hqt25xwuyr28z4fp80z3ahxj7ejuzad3ru"
"""Likewise for the market; the order runs."""


def discover(call: Call, _params: NoParams) -> Raw:
    """Return the OpenRPC document of this node."""
    return call.documents.openrpc


_REFUSALS: Final = (
    ErrorCode.TX_MALFORMED,
    ErrorCode.TX_REJECTED,
    ErrorCode.MEMPOOL_REFUSED,
    ErrorCode.LIMIT_EXCEEDED,
)
_PAST: Final = (ErrorCode.PRUNED, ErrorCode.NOT_FOUND)

METHODS: Final[tuple[Method, ...]] = (
    method("status", NoParams, StatusView, read_status),
    method("params", NoParams, dict[str, Any], read_params),
    method("genesis", NoParams, Raw, read_genesis),
    method("validators", AtHeight, ValidatorsView, read_validators, errors=_PAST),
    method("block", BlockParams, BlockView, read_block, errors=_PAST, example={"height": 2}),
    method("blocks", BlocksParams, BlocksView, read_blocks, example={"limit": 2}),
    method("tx", TxParams, TxView, read_tx, errors=_PAST, example={"tx_id": EXAMPLE_TX_ID, "prove": True}),
    method(
        "tx_submit",
        TxSubmitParams,
        TxOutcome,
        submit_tx,
        errors=_REFUSALS,
        example={"tx": EXAMPLE_TX, "wait": "final", "timeout_ms": 5_000},
        is_read=False,
    ),
    method(
        "tx_wait",
        TxWaitParams,
        TxOutcome,
        wait_tx,
        errors=(ErrorCode.TX_REJECTED, ErrorCode.MEMPOOL_REFUSED, ErrorCode.LIMIT_EXCEEDED),
        example={"tx_id": EXAMPLE_TX_ID, "level": "final", "timeout_ms": 5_000},
    ),
    method("account", AccountParams, AccountView, read_account, errors=_PAST, example={"address": EXAMPLE_ADDRESS}),
    method("state_proof", StateProofParams, StateProofView, read_state_proof, errors=_PAST, example={"key": "03"}),
    method("records", RecordsParams, RecordsView, read_records, example={"keys": ["03"]}),
    method("mempool", MempoolParams, MempoolView, read_mempool),
    method("net_info", NoParams, NetInfoView, read_net_info),
    method("consensus_state", NoParams, ConsensusView, read_consensus_state),
    method("collaterals", PageParams, CollateralsView, read_collaterals, example={"limit": 4}),
    method(
        "collateral",
        CollateralParams,
        CollateralView,
        read_collateral,
        errors=(ErrorCode.NOT_FOUND,),
        example={"key": EXAMPLE_COLLATERAL},
    ),
    method("enclave", EnclaveParams, EnclaveView, read_enclave, errors=_PAST, example={"id": EXAMPLE_ENCLAVE}),
    method("enclaves", EnclavesParams, EnclavesView, read_enclaves, example={"state": "trusted", "limit": 10}),
    method(
        "forecast",
        ForecastParams,
        ForecastsView,
        read_forecast,
        errors=(ErrorCode.NOT_FOUND,),
        example={"enclave": EXAMPLE_ENCLAVE},
    ),
    method(
        "appraise",
        AppraiseParams,
        AppraisalView,
        appraise_evidence,
        example={"evidence": "04000200", "tee": "tdx"},
    ),
    method("resources", ResourcesParams, ResourcesView, read_resources, example={"kind": "software", "limit": 5}),
    method("market", MarketParams, MarketView, read_market, example={"kind": "hardware", "level_min": 1}),
    method(
        "who_can_use",
        WhoCanUseParams,
        WhoCanUseView,
        read_who_can_use,
        errors=(ErrorCode.NOT_FOUND,),
        example={"resource": EXAMPLE_RESOURCE},
    ),
    method(
        "usage", UsageParams, UsageView, read_usage, errors=_PAST, example={"resource": EXAMPLE_RESOURCE, "from": 0}
    ),
    method("provider", ProviderParams, ProviderView, read_provider, example={"account": EXAMPLE_PROVIDER}),
    method(
        "endorsements", EndorsementsParams, EndorsementsView, read_endorsements, example={"endorser": EXAMPLE_ENDORSER}
    ),
    method("order", OrderParams, OrderView, read_order, errors=_PAST, example={"id": EXAMPLE_ORDER}),
    method("orders", OrdersParams, OrdersView, read_orders, example={"open": True, "limit": 10}),
    method("resource", ResourceParams, ResourceView, read_resource, errors=_PAST, example={"id": EXAMPLE_RESOURCE}),
    method("proposals", ProposalsParams, ProposalsView, read_proposals, example={"limit": 5}),
    method(
        "proposal",
        ProposalParams,
        ProposalVotesView,
        read_proposal,
        errors=(ErrorCode.NOT_FOUND,),
        example={"number": 1},
    ),
    method(
        "explain", ExplainParams, ExplainView, explain_tx, errors=(ErrorCode.TX_MALFORMED,), example={"tx": EXAMPLE_TX}
    ),
    method(
        "faucet",
        FaucetParams,
        TxOutcome,
        request_faucet,
        errors=(*_REFUSALS, ErrorCode.DEVELOPMENT_ONLY),
        example={"address": EXAMPLE_ADDRESS, "amount": "1000000"},
        is_read=False,
    ),
    method(
        "events", EventsParams, Page, read_events, errors=(ErrorCode.PRUNED,), example={"limit": 10, "topics": ["tx"]}
    ),
    method(
        "subscribe",
        SubscribeParams,
        SubscriptionView,
        subscribe,
        errors=(ErrorCode.INVALID_REQUEST, ErrorCode.PRUNED, ErrorCode.LIMIT_EXCEEDED),
        example={"topics": ["head"]},
        is_read=False,
    ),
    method(
        "unsubscribe",
        UnsubscribeParams,
        bool,
        unsubscribe,
        errors=(ErrorCode.INVALID_REQUEST, ErrorCode.NOT_FOUND),
        example={"subscription": "1"},
        is_read=False,
    ),
    method("rpc.discover", NoParams, Raw, discover),
)


def encode_documents(genesis: Genesis, url: str) -> Documents:
    """Return the documents of a node that is reached at a URL."""
    return Documents(
        genesis=Raw(msgspec.json.format(format_genesis(genesis), indent=-1)),
        openrpc=Raw(msgspec.json.encode(describe(METHODS, url))),
    )
