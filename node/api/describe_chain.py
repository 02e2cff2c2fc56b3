"""Records of the chain as results: one function for each view that is made from a record."""

from __future__ import annotations

from typing import Final

from node.api.describe import describe, describe_address, describe_message, describe_validator
from node.api.views import (
    AuthView,
    BlockSummary,
    BlockView,
    BodyView,
    CertificateView,
    HeaderView,
    KeyView,
    ReceiptView,
    ResultView,
    ValidatorView,
)
from state.block import BlockResult, Header, hash_result
from state.certificates import Certificate
from state.chain_views import StoredBlock
from state.messages import Scope
from state.receipts import Receipt, ReceiptStatus
from state.records import Auth, ValidatorRecord
from state.transactions import Transaction

BODY_BYTES_MAX: Final = 16_384
"""Longest envelope whose body an answer tells: 700 addresses at most, some 8 ms. The longest envelopes take 140 ms."""


def describe_header(header: Header) -> HeaderView:
    """Return a header's fields."""
    return HeaderView(
        version=header.version,
        chain_id=header.chain_id.hex(),
        epoch=header.epoch,
        view=header.view,
        height=header.height,
        time_ms=header.time_ms,
        parent_hash=header.parent_hash.hex(),
        parent_view=header.parent_view,
        parent_result=header.parent_result.hex(),
        proposer=describe_validator(header.proposer),
        validators_hash=header.validators_hash.hex(),
        tx_root=header.tx_root.hex(),
        tx_count=header.tx_count,
    )


def describe_certificate(certificate: Certificate) -> CertificateView:
    """Return a certificate with its signers as indices."""
    return CertificateView(
        kind=certificate.kind.name.lower(),
        epoch=certificate.epoch,
        view=certificate.view,
        block_hash=certificate.block_hash.hex() or None,
        result=certificate.result.hex() or None,
        signers=[
            8 * place + bit for place, byte in enumerate(certificate.signers) for bit in range(8) if byte >> bit & 1
        ],
        signatures=[signature.hex() for signature in certificate.signatures],
    )


def describe_result(block_result: BlockResult) -> ResultView:
    """Return the digests of a block's result."""
    return ResultView(
        state_root=block_result.state_root.hex(),
        receipts_root=block_result.receipts_root.hex(),
        next_validators_hash=block_result.next_validators_hash.hex(),
    )


def describe_block(block: StoredBlock) -> BlockView:
    """Return a final block with the ids of its transactions."""
    return BlockView(
        height=block.header.height,
        hash=block.block_hash.hex(),
        header=describe_header(block.header),
        result=describe_result(block.block_result),
        result_hash=hash_result(block.block_result).hex(),
        certificate=None if block.certificate is None else describe_certificate(block.certificate),
        tx_ids=[receipt.tx_id.hex() for receipt in block.receipts],
        failed_count=sum(receipt.status is ReceiptStatus.FAILED for receipt in block.receipts),
        byte_count=sum(len(envelope) for envelope in block.envelopes),
        first_cursor=str(block.first_sequence - 1),
        event_count=block.event_count,
    )


def describe_block_summary(block_hash: bytes, header: Header) -> BlockSummary:
    """Return what a list shows of a block."""
    return BlockSummary(
        height=header.height,
        hash=block_hash.hex(),
        time_ms=header.time_ms,
        epoch=header.epoch,
        view=header.view,
        proposer=describe_validator(header.proposer),
        tx_count=header.tx_count,
    )


def describe_receipt(receipt: Receipt) -> ReceiptView:
    """Return a receipt; reason and message index only where something failed."""
    is_failed = receipt.status is ReceiptStatus.FAILED
    return ReceiptView(
        tx_id=receipt.tx_id.hex(),
        status=receipt.status.name.lower(),
        reason=receipt.reason if is_failed else None,
        message_index=receipt.message_index if is_failed else None,
        fee=str(receipt.fee),
        work=receipt.work,
        event_count=receipt.event_count,
    )


def describe_body(transaction: Transaction) -> BodyView:
    """Return what a transaction says, and who signed it."""
    body = transaction.body
    return BodyView(
        sender=describe_account(body.sender),
        nonce=body.nonce,
        expires_at_ms=body.expires_at_ms,
        fee=str(body.fee),
        messages=[describe_message(message) for message in body.messages],
        memo=body.memo.hex(),
        signers=[pair.public_key.hex() for pair in transaction.signatures],
    )


def describe_short_body(transaction: Transaction) -> BodyView | None:
    """Return what a transaction says, or None of one that is long: it would hold up the node, and the envelope says the same."""
    return describe_body(transaction) if len(transaction.encoded) <= BODY_BYTES_MAX else None


def describe_account(address: bytes) -> str:
    """Return the text of 21 bytes that should be an account's address; bytes of no known kind as hex."""
    return str(describe("sender", address))


def describe_auth(auth: Auth) -> AuthView:
    """Return who may act for an account."""
    return AuthView(
        keys=[
            KeyView(
                public_key=key.public_key.hex(),
                weight=key.weight,
                scopes=[scope.name.lower() for scope in Scope if key.scopes & scope and scope.name],
            )
            for key in auth.keys
        ],
        threshold=auth.threshold,
        guardians=[describe_address(guardian) for guardian in auth.guardians],
        guardian_quorum=auth.guardian_quorum,
    )


def describe_validator_entry(
    index: int | None, address: bytes, public_key: bytes, power: int, record: ValidatorRecord | None
) -> ValidatorView:
    """Return a validator; the record of the newest state adds what a set alone does not say."""
    return ValidatorView(
        index=index,
        address=describe_validator(address),
        operator=describe_address(address),
        public_key=public_key.hex(),
        power=power,
        status=None if record is None else record.status.name.lower(),
        stake=None if record is None else str(record.stake),
        jailed_until_ms=record.jailed_until_ms or None if record is not None else None,
    )


def quorum_power(total_power: int) -> int:
    """Return the least power that is more than two thirds of the total."""
    return total_power * 2 // 3 + 1
