"""Laws of fetching blocks: what is asked of whom and when, and what is taken."""

from __future__ import annotations

import pytest

from node import block_fetch
from node.block_fetch import RETRY_MS, BlockFetcher
from node.block_messages import BlockAnswer, BlockRequest, EnvelopesAnswer, EnvelopesRequest
from state import merkle
from state.block import Block, Header, hash_header
from state.transactions import hash_envelope
from tests.support.pool import CHAIN_ID, transfer

PEERS = ["a", "b", "c"]
FIRST, SECOND, THIRD = (transfer(nonce=nonce) for nonce in (1, 2, 3))
FOREIGN = transfer(nonce=9)


def names(*transactions):
    return tuple(one.envelope_hash for one in transactions)


def header_of(envelope_hashes=(), height=1, view=1):
    return Header(
        version=1,
        chain_id=CHAIN_ID,
        epoch=0,
        view=view,
        height=height,
        time_ms=1_000 * height,
        parent_hash=bytes(32),
        parent_view=0,
        parent_result=bytes(32),
        proposer=bytes(21),
        validators_hash=bytes(32),
        tx_root=merkle.root(envelope_hashes),
        tx_count=len(envelope_hashes),
    )


LIST = names(FIRST, SECOND, THIRD)
HEADER = header_of(LIST)
BLOCK_HASH = hash_header(HEADER)


def fetcher_with(*pending):
    known = {one.envelope_hash: one for one in pending}
    return BlockFetcher(CHAIN_ID, known.get)


def wanting(*pending, header=HEADER, hashes=LIST, peer="b"):
    """Return a fetcher that wants the block, while these transactions are pending here."""
    fetcher = fetcher_with(*pending)
    fetcher.want(BLOCK_HASH, header, hashes, peer)
    return fetcher


def envelopes(*transactions, block_hash=BLOCK_HASH):
    return EnvelopesAnswer(block_hash=block_hash, envelopes=tuple(one.encoded for one in transactions))


def asked(*hashes):
    return EnvelopesRequest(block_hash=BLOCK_HASH, envelope_hashes=hashes)


def test_block_whose_envelopes_are_all_pending_is_whole_at_once_and_nobody_is_asked():
    fetcher = wanting(FIRST, SECOND, THIRD)
    block = fetcher.whole_block(BLOCK_HASH)
    assert block.ordered() == [FIRST, SECOND, THIRD]
    assert block.unverified == set()
    assert block.encoded() == Block(header=HEADER, envelopes=(FIRST.encoded, SECOND.encoded, THIRD.encoded))
    assert fetcher.requests(BLOCK_HASH, PEERS, 0) == []
    assert fetcher.incomplete() == []


def test_empty_block_is_whole_at_once():
    header = header_of()
    fetcher = fetcher_with()
    assert fetcher.want(hash_header(header), header, (), "b").is_whole
    assert fetcher.whole_block(hash_header(header)).encoded() == Block(header=header, envelopes=())


def test_only_what_is_not_here_is_asked_for_in_the_order_of_the_block_from_who_named_it():
    fetcher = wanting(SECOND)
    assert fetcher.requests(BLOCK_HASH, PEERS, 0) == [("b", asked(FIRST.envelope_hash, THIRD.envelope_hash))]


def test_block_known_by_hash_alone_is_asked_for_as_a_whole():
    fetcher = wanting(header=None, hashes=None)
    assert fetcher.requests(BLOCK_HASH, PEERS, 0) == [("b", BlockRequest(block_hash=BLOCK_HASH))]


@pytest.mark.parametrize(
    ("header", "hashes"), [(HEADER, None), (None, LIST)], ids=["header without list", "list without header"]
)
def test_half_known_block_is_asked_for_as_a_whole(header, hashes):
    fetcher = wanting(header=header, hashes=hashes)
    assert fetcher.requests(BLOCK_HASH, PEERS, 0) == [("b", BlockRequest(block_hash=BLOCK_HASH))]


def test_next_peer_in_turn_is_asked_after_half_a_second_and_not_before():
    fetcher = wanting(FIRST, SECOND, peer="b")
    request = asked(THIRD.envelope_hash)
    assert fetcher.requests(BLOCK_HASH, PEERS, 0) == [("b", request)]
    assert fetcher.requests(BLOCK_HASH, PEERS, RETRY_MS - 1) == []
    assert fetcher.requests(BLOCK_HASH, PEERS, RETRY_MS) == [("c", request)]
    assert fetcher.requests(BLOCK_HASH, PEERS, 2 * RETRY_MS) == [("a", request)]
    assert fetcher.requests(BLOCK_HASH, PEERS, 3 * RETRY_MS) == [("b", request)]


@pytest.mark.parametrize("peer", PEERS)
def test_second_question_never_goes_to_who_did_not_answer_the_first(peer):
    fetcher = wanting(peer=peer)
    asked_peers = [fetcher.requests(BLOCK_HASH, PEERS, turn * RETRY_MS)[0][0] for turn in range(3)]
    assert asked_peers[0] == peer
    assert sorted(asked_peers) == PEERS


@pytest.mark.parametrize("peer", ["", "gone"])
def test_without_the_peer_that_named_it_others_are_asked(peer):
    fetcher = wanting(peer=peer)
    assert [fetcher.requests(BLOCK_HASH, PEERS, turn * RETRY_MS)[0][0] for turn in range(2)] == ["a", "b"]


def test_only_peer_is_asked_again():
    fetcher = wanting(peer="a")
    assert [fetcher.requests(BLOCK_HASH, ["a"], turn * RETRY_MS)[0][0] for turn in range(2)] == ["a", "a"]


def test_nobody_is_asked_while_nobody_is_connected_and_the_first_who_comes_is():
    fetcher = wanting(peer="b")
    assert fetcher.requests(BLOCK_HASH, [], 0) == []
    assert fetcher.requests(BLOCK_HASH, ["a"], 1)[0][0] == "a"


def test_block_that_is_not_known_any_more_is_not_asked_for():
    fetcher = wanting()
    fetcher.forget_unwanted({})
    assert fetcher.requests(BLOCK_HASH, PEERS, 0) == []


def test_list_that_comes_later_is_taken_and_the_first_one_stays():
    fetcher = wanting(FIRST, header=None, hashes=None)
    assert not fetcher.want(BLOCK_HASH, HEADER, None, "c").is_whole
    block = fetcher.want(BLOCK_HASH, None, LIST, "c")
    assert (block.header, block.envelope_hashes, block.wanted) == (HEADER, LIST, set(names(SECOND, THIRD)))
    assert fetcher.want(BLOCK_HASH, header_of(), (), "c").envelope_hashes == LIST
    assert block.header == HEADER


def test_header_and_list_from_a_peer_lead_to_a_question_for_the_envelopes_at_once():
    fetcher = wanting(FIRST, header=None, hashes=None)
    assert fetcher.requests(BLOCK_HASH, PEERS, 0) == [("b", BlockRequest(block_hash=BLOCK_HASH))]
    assert fetcher.take_block(BlockAnswer(header=HEADER, envelope_hashes=LIST)) == BLOCK_HASH
    assert fetcher.requests(BLOCK_HASH, PEERS, 1) == [("b", asked(SECOND.envelope_hash, THIRD.envelope_hash))]


@pytest.mark.parametrize(
    "wrong",
    [LIST[:2], (*LIST, FOREIGN.envelope_hash), (*LIST[:2], FOREIGN.envelope_hash), LIST[::-1], ()],
    ids=["too short", "too long", "another envelope", "another order", "empty"],
)
def test_list_that_the_header_does_not_commit_to_is_not_taken_and_the_next_peer_is_asked_in_time(wrong):
    fetcher = wanting(FIRST, SECOND, THIRD, header=None, hashes=None)
    fetcher.requests(BLOCK_HASH, PEERS, 0)
    assert fetcher.take_block(BlockAnswer(header=HEADER, envelope_hashes=wrong)) == BLOCK_HASH
    block = fetcher.find_block(BLOCK_HASH)
    assert block is not None
    assert (block.header, block.envelope_hashes) == (HEADER, None)
    assert fetcher.requests(BLOCK_HASH, PEERS, 1) == []
    assert fetcher.requests(BLOCK_HASH, PEERS, RETRY_MS) == [("c", BlockRequest(block_hash=BLOCK_HASH))]
    assert fetcher.take_block(BlockAnswer(header=HEADER, envelope_hashes=LIST)) == BLOCK_HASH
    assert block.is_whole


def test_list_with_the_right_root_and_a_count_that_the_header_does_not_tell_is_not_taken():
    header = header_of(LIST)
    lying = type(header)(**{name: getattr(header, name) for name in header.__struct_fields__} | {"tx_count": 2})
    fetcher = fetcher_with(FIRST, SECOND, THIRD)
    fetcher.want(hash_header(lying), None, None, "b")
    assert fetcher.take_block(BlockAnswer(header=lying, envelope_hashes=LIST)) == hash_header(lying)
    assert fetcher.incomplete() == [hash_header(lying)]


def test_block_that_nobody_wants_is_not_taken():
    fetcher = fetcher_with()
    assert fetcher.take_block(BlockAnswer(header=HEADER, envelope_hashes=LIST)) is None
    assert fetcher.find_block(BLOCK_HASH) is None
    assert fetcher.answer_block(BlockRequest(block_hash=BLOCK_HASH)) is None


def test_answer_for_a_block_whose_list_is_known_changes_nothing():
    fetcher = wanting()
    assert fetcher.take_block(BlockAnswer(header=HEADER, envelope_hashes=LIST)) is None


def test_envelopes_in_several_answers_make_a_block_whole_and_wait_for_verification():
    fetcher = wanting(FIRST)
    assert fetcher.take_envelopes(envelopes(THIRD))
    assert fetcher.incomplete() == [BLOCK_HASH]
    assert fetcher.take_envelopes(envelopes(SECOND))
    block = fetcher.whole_block(BLOCK_HASH)
    assert [one.encoded for one in block.ordered()] == [FIRST.encoded, SECOND.encoded, THIRD.encoded]
    assert block.unverified == set(names(SECOND, THIRD))


def test_envelopes_that_were_not_asked_for_are_not_taken():
    fetcher = wanting(FIRST)
    assert fetcher.take_envelopes(envelopes(FOREIGN, FIRST))
    block = fetcher.find_block(BLOCK_HASH)
    assert block is not None
    assert (block.transactions, block.unverified) == ({FIRST.envelope_hash: FIRST}, set())
    assert block.wanted == set(names(SECOND, THIRD))


def test_envelopes_for_a_block_that_nobody_wants_are_ignored():
    fetcher = wanting(FIRST)
    assert fetcher.take_envelopes(envelopes(SECOND, block_hash=bytes(32)))
    assert fetcher.find_block(bytes(32)) is None
    assert fetcher.incomplete() == [BLOCK_HASH]


def test_envelope_that_comes_twice_is_taken_once():
    fetcher = wanting(FIRST, SECOND)
    assert fetcher.take_envelopes(envelopes(THIRD, THIRD))
    taken = fetcher.whole_block(BLOCK_HASH).ordered()[2]
    assert fetcher.take_envelopes(envelopes(THIRD))
    assert fetcher.whole_block(BLOCK_HASH).ordered()[2] is taken


def test_envelope_that_is_no_transaction_is_told_of_and_what_came_before_it_stays():
    garbage = b"\x01 no envelope"
    hashes = (FIRST.envelope_hash, hash_envelope(garbage), SECOND.envelope_hash)
    header = header_of(hashes)
    block_hash = hash_header(header)
    fetcher = fetcher_with()
    fetcher.want(block_hash, header, hashes, "b")
    answer = EnvelopesAnswer(block_hash=block_hash, envelopes=(FIRST.encoded, garbage, SECOND.encoded))
    assert not fetcher.take_envelopes(answer)
    block = fetcher.find_block(block_hash)
    assert block is not None
    assert set(block.transactions) == {FIRST.envelope_hash}
    assert block.wanted == {hash_envelope(garbage), SECOND.envelope_hash}


def test_admitted_transaction_completes_every_block_that_lacks_it_and_needs_no_second_verification():
    other = header_of(names(THIRD, FOREIGN), view=2)
    last = header_of(names(THIRD), view=3)
    fetcher = wanting(FIRST, SECOND)
    fetcher.want(hash_header(other), other, names(THIRD, FOREIGN), "b")
    fetcher.want(hash_header(last), last, names(THIRD), "b")
    assert fetcher.offer(FIRST) == []
    assert fetcher.offer(THIRD) == [BLOCK_HASH, hash_header(last)]
    assert fetcher.whole_block(BLOCK_HASH).unverified == set()
    assert fetcher.offer(THIRD) == []
    assert fetcher.offer(FOREIGN) == [hash_header(other)]


def test_admitted_transaction_does_not_make_a_block_whole_whose_header_is_unknown():
    fetcher = wanting(FIRST, SECOND, header=None)
    assert fetcher.offer(THIRD) == []
    assert fetcher.want(BLOCK_HASH, HEADER, None, "b").is_whole


def test_known_block_is_whole_and_verified_whatever_was_known_of_it_before():
    fetcher = wanting()
    fetcher.take_envelopes(envelopes(FIRST))
    fetcher.add_known(HEADER, [FIRST, SECOND, THIRD])
    block = fetcher.whole_block(BLOCK_HASH)
    assert (block.ordered(), block.unverified, block.wanted) == ([FIRST, SECOND, THIRD], set(), set())


def test_envelope_listed_twice_is_asked_for_and_sent_once_and_stands_twice_in_the_block():
    hashes = names(FIRST, SECOND, FIRST)
    header = header_of(hashes)
    block_hash = hash_header(header)
    fetcher = fetcher_with()
    fetcher.want(block_hash, header, hashes, "b")
    request = EnvelopesRequest(block_hash=block_hash, envelope_hashes=names(FIRST, SECOND))
    assert fetcher.requests(block_hash, PEERS, 0) == [("b", request)]
    assert fetcher.take_envelopes(envelopes(FIRST, SECOND, block_hash=block_hash))
    block = fetcher.whole_block(block_hash)
    assert [one.encoded for one in block.ordered()] == [FIRST.encoded, SECOND.encoded, FIRST.encoded]
    greedy = EnvelopesRequest(block_hash=block_hash, envelope_hashes=hashes * 3)
    assert fetcher.find_envelopes(greedy) == [FIRST.encoded, SECOND.encoded]


def test_what_is_here_of_a_block_is_served_and_nothing_else():
    fetcher = wanting(FIRST)
    assert fetcher.answer_block(BlockRequest(block_hash=BLOCK_HASH)) == BlockAnswer(header=HEADER, envelope_hashes=LIST)
    assert fetcher.find_envelopes(asked(*LIST, FOREIGN.envelope_hash)) == [FIRST.encoded]
    unknown = EnvelopesRequest(block_hash=bytes(32), envelope_hashes=LIST)
    assert fetcher.find_envelopes(unknown) == []


@pytest.mark.parametrize(("header", "hashes"), [(HEADER, None), (None, LIST), (None, None)])
def test_block_is_not_served_before_header_and_list_are_here(header, hashes):
    fetcher = wanting(header=header, hashes=hashes)
    assert fetcher.answer_block(BlockRequest(block_hash=BLOCK_HASH)) is None


def test_blocks_up_to_the_final_height_are_forgotten_but_for_those_to_keep():
    headers = [header_of(names(FIRST), height, view) for view, height in enumerate((1, 2, 2, 3), 1)]
    hashes = [hash_header(header) for header in headers]
    fetcher = fetcher_with(FIRST)
    for header in headers:
        fetcher.want(hash_header(header), header, names(FIRST), "b")
    assert fetcher.forget_below(2, frozenset({hashes[1]})) == [hashes[0], hashes[2]]
    assert [fetcher.find_block(one) is not None for one in hashes] == [False, True, False, True]


def test_block_of_unknown_height_is_kept_by_height():
    fetcher = wanting(header=None, hashes=None)
    assert fetcher.forget_below(1, frozenset()) == []
    assert fetcher.incomplete() == [BLOCK_HASH]


def test_block_is_asked_for_only_as_long_as_consensus_names_it():
    """Given a certificate for a block that nobody has, when the chain goes on without it, then peers are asked no more."""
    fetcher = wanting(header=None, hashes=None)
    other = header_of(names(FIRST), view=2)
    fetcher.want(hash_header(other), other, names(FIRST), "b")
    assert fetcher.forget_unwanted({BLOCK_HASH: None, hash_header(other): None}) == []
    assert fetcher.forget_unwanted({hash_header(other): None}) == [BLOCK_HASH]
    assert fetcher.incomplete() == [hash_header(other)]


def test_of_many_blocks_the_oldest_that_lacks_something_makes_room_and_whole_ones_stay(monkeypatch):
    monkeypatch.setattr(block_fetch, "BLOCKS_MAX", 4)
    fetcher = wanting(FIRST, SECOND, THIRD)
    lacking = [bytes([number]) * 32 for number in range(5)]
    for block_hash in lacking:
        fetcher.want(block_hash, None, None, "b")
    assert fetcher.incomplete() == lacking[2:]
    assert fetcher.whole_block(BLOCK_HASH).ordered() == [FIRST, SECOND, THIRD]


def test_whole_blocks_above_the_bound_are_all_kept(monkeypatch):
    monkeypatch.setattr(block_fetch, "BLOCKS_MAX", 2)
    fetcher = fetcher_with(FIRST)
    headers = [header_of(names(FIRST), view=view) for view in range(1, 5)]
    for header in headers:
        fetcher.want(hash_header(header), header, names(FIRST), "b")
    assert [fetcher.whole_block(hash_header(header)).header for header in headers] == headers


def test_forgetting_a_block_leaves_what_another_shares_with_it_to_be_verified():
    fetcher = wanting(FIRST, SECOND)
    other = header_of(names(THIRD), height=2, view=2)
    fetcher.want(hash_header(other), other, names(THIRD), "b")
    for block_hash in (BLOCK_HASH, hash_header(other)):
        assert fetcher.take_envelopes(envelopes(THIRD, block_hash=block_hash))
    assert fetcher.forget_below(1, frozenset()) == [BLOCK_HASH]
    assert fetcher.whole_block(hash_header(other)).unverified == {THIRD.envelope_hash}
