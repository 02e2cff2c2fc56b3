"""publish with an origin: what an order put out becomes a resource whose origin is proven."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from state.crypto import SigningKey
from state.offers import Payee, ResourceKind
from state.policies import OutputParty
from state.resource_records import RESOURCES
from state.runtime.reasons import TransactionReason
from state.trust_messages import Publish
from tests.support.attesting import CUSTOMER, EMPTY_RELEASE, PROVIDER, publish
from tests.support.chain_builders import account
from tests.support.ordering import OWNER, STRANGER, Market

ROOT = b"\x0f" * 32
"""Of every output in a market."""


def derived(order: bytes, root: bytes = ROOT, kind: ResourceKind = ResourceKind.DATA, **changes: object) -> Publish:
    return publish(kind, release=replace(EMPTY_RELEASE, content_root=root), derived_from=order, **changes)


def put_out(market: Market, output_to: OutputParty) -> bytes:
    """Return an order that has given its output."""
    order = market.running(output_to=output_to)
    assert market.report(market.output(order)) == ""
    return order


def test_an_output_is_published_with_its_origin_and_a_share_for_the_owner_upstream() -> None:
    market = Market()
    order = put_out(market, OutputParty.CUSTOMER)
    payees = tuple(Payee(account=each, share_bp=5_000) for each in sorted((account(1), account(3))))
    record = market.ledger.get(RESOURCES, market.publish(CUSTOMER, derived(order, payees=payees)))
    assert (record.owner, record.derived_from, record.payees) == (account(1), order, payees)


@pytest.mark.parametrize(
    ("output_to", "signer", "reason"),
    [
        pytest.param(OutputParty.CUSTOMER, OWNER, TransactionReason.NOT_OUTPUT, id="owner of data, not the owner's"),
        pytest.param(OutputParty.OWNER, OWNER, "", id="owner of data, the owner's"),
        pytest.param(OutputParty.BOTH, OWNER, "", id="owner of data, both's"),
        pytest.param(OutputParty.OWNER, CUSTOMER, "", id="customer, who knows whose output it is"),
        pytest.param(OutputParty.BOTH, PROVIDER, TransactionReason.NOT_OUTPUT, id="provider"),
        pytest.param(OutputParty.BOTH, STRANGER, TransactionReason.NOT_OUTPUT, id="stranger"),
    ],
)
def test_who_may_publish_an_output(output_to: OutputParty, signer: SigningKey, reason: str) -> None:
    market = Market()
    assert market.reason(signer, derived(put_out(market, output_to))) == reason


def test_an_origin_is_the_order_whose_output_this_is() -> None:
    market = Market()
    order = market.running()
    assert market.reason(CUSTOMER, derived(market.place())) == TransactionReason.NOT_OUTPUT
    assert market.reason(CUSTOMER, derived(order)) == TransactionReason.NOT_OUTPUT
    assert market.report(market.output(order)) == ""
    assert market.reason(CUSTOMER, derived(order, root=b"\x0e" * 32)) == TransactionReason.NOT_OUTPUT
    assert market.reason(CUSTOMER, derived(market.data)) == TransactionReason.NO_ORDER
    hardware = publish(ResourceKind.HARDWARE, derived_from=order)
    assert market.reason(PROVIDER, hardware) == TransactionReason.UNEXPECTED_FIELD
    assert market.reason(CUSTOMER, derived(order, kind=ResourceKind.SOFTWARE)) == ""
