"""Laws of the log of votes: order, what a crash leaves, and that the signing floor never goes down."""

from __future__ import annotations

from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.records import RECORD_CODEC, BlockRecord, FloorRecord, NotarizationRecord, VoteRecord, signing_floor
from consensus.signing import VoteSigner
from node import vote_log as vote_log_module
from node.vote_log import APPENDED_MAX, VoteLog
from node.wal import FileLog, MemoryLog
from state.block import Block
from state.votes import VoteKind
from tests.support.consensus_cast import certificate, child_header, vote
from tests.support.consensus_toys import CHAIN_ID, genesis_tip, stand_in_key, toy_set


def vote_record(view, epoch=0, kind=VoteKind.NULLIFY):
    return VoteRecord(vote=vote(kind, 0, view, epoch=epoch))


def floor_record(epoch, view):
    return FloorRecord(epoch=epoch, view=view)


def durable(log):
    """Return the records that survive a crash."""
    return [RECORD_CODEC.decode(record) for record in log.records()]


def filled(records):
    """Return a log of votes with these records, appended and durable, and its disk."""
    disk = MemoryLog()
    votes = VoteLog(disk, [])
    for record in records:
        votes.append(record)
    votes.sync()
    return votes, disk


@pytest.fixture
def eager(monkeypatch):
    """Compact whenever the log is asked to."""
    monkeypatch.setattr(vote_log_module, "APPENDED_MAX", 0)


def test_records_survive_in_the_order_in_which_they_were_appended():
    header = child_header(genesis_tip(toy_set([1] * 4)).block, 1, 0)
    records = [
        vote_record(3),
        BlockRecord(epoch=0, view=3, block=Block(header=header, envelopes=())),
        NotarizationRecord(certificate=certificate(VoteKind.NOTARIZE, 2)),
        vote_record(1),
        floor_record(0, 1),
    ]
    _, disk = filled(records)
    disk.crash()
    assert durable(disk) == records


def test_what_was_not_synced_is_lost_in_a_crash_and_what_was_is_not():
    votes, disk = filled([vote_record(1)])
    votes.append(vote_record(2))
    disk.crash()
    assert durable(disk) == [vote_record(1)]


def test_records_between_two_syncs_survive_as_a_whole_or_not_at_all():
    votes, disk = filled([])
    votes.append(vote_record(1))
    votes.append(vote_record(2))
    disk.crash(was_group_written=True)
    assert durable(disk) == [vote_record(1), vote_record(2)]


class CountingLog(MemoryLog):
    """A log that counts what is expensive."""

    def __init__(self):
        super().__init__()
        self.syncs = 0
        self.rewrites = 0

    def sync(self):
        self.syncs += 1
        super().sync()

    def rewrite(self, keep):
        self.rewrites += 1
        super().rewrite(keep)


def test_disk_is_synced_only_when_something_is_new():
    disk = CountingLog()
    votes = VoteLog(disk, [])
    votes.sync()
    votes.append(vote_record(1))
    votes.sync()
    votes.sync()
    assert disk.syncs == 1


def test_compaction_waits_until_many_records_were_appended():
    disk = CountingLog()
    votes = VoteLog(disk, [])
    for view in range(1, APPENDED_MAX + 1):
        votes.append(vote_record(view))
    votes.compact(0, APPENDED_MAX)
    assert disk.rewrites == 0
    votes.append(vote_record(APPENDED_MAX + 1))
    votes.compact(0, APPENDED_MAX)
    assert disk.rewrites == 1
    votes.compact(0, APPENDED_MAX + 1)
    assert disk.rewrites == 1


def test_records_that_were_there_at_the_start_count_too():
    disk = CountingLog()
    votes = VoteLog(disk, [vote_record(view) for view in range(APPENDED_MAX + 1)])
    votes.compact(0, APPENDED_MAX)
    assert disk.rewrites == 1


def test_compaction_keeps_the_records_at_and_above_the_tip_after_the_floor(eager):
    votes, disk = filled([vote_record(view) for view in (1, 5, 2, 4, 3)])
    votes.compact(0, 3)
    assert durable(disk) == [floor_record(0, 3), vote_record(5), vote_record(4), vote_record(3)]


def test_compaction_in_a_new_epoch_drops_every_record_of_the_ones_before(eager):
    votes, disk = filled([vote_record(9), vote_record(1, epoch=1), vote_record(2, epoch=1)])
    votes.compact(1, 0)
    assert durable(disk) == [floor_record(1, 0), vote_record(1, epoch=1), vote_record(2, epoch=1)]


def test_floor_rises_with_the_tip_and_never_goes_down(eager):
    votes, disk = filled([vote_record(1)])
    for position, floor in (((0, 5), (0, 5)), ((0, 3), (0, 5)), ((1, 0), (1, 0)), ((0, 9), (1, 0)), ((1, 2), (1, 2))):
        votes.compact(*position)
        assert signing_floor(durable(disk)) == floor


def test_floor_that_the_operator_set_survives_every_compaction(eager):
    """Given a validator that resumed after (3, 70), when its chain is far below, then the floor stays at (3, 70)."""
    resumed = floor_record(3, 70)
    votes, disk = filled([resumed, vote_record(1)])
    for view in range(1, 4):
        votes.compact(0, view)
        votes.append(vote_record(view + 1))
        votes.sync()
    assert durable(disk) == [resumed, vote_record(3), vote_record(4)]
    reopened = VoteLog(disk, durable(disk))
    reopened.compact(3, 69)
    assert durable(disk) == [resumed]


def test_log_has_one_floor_after_compaction(eager):
    votes, disk = filled([floor_record(0, 2), floor_record(0, 7), floor_record(0, 4)])
    votes.compact(0, 1)
    assert durable(disk) == [floor_record(0, 7)]


def test_record_not_synced_before_a_compaction_is_durable_after_it_and_there_once(eager):
    votes, disk = filled([vote_record(1)])
    votes.append(vote_record(2))
    votes.append(vote_record(3))
    votes.compact(0, 2)
    disk.crash()
    assert durable(disk) == [floor_record(0, 2), vote_record(2), vote_record(3)]
    votes.append(vote_record(4))
    votes.sync()
    assert durable(disk) == [floor_record(0, 2), vote_record(2), vote_record(3), vote_record(4)]


def test_group_that_the_tip_has_made_useless_is_dropped_with_the_rest(eager):
    votes, disk = filled([])
    votes.append(vote_record(1))
    votes.compact(0, 2)
    assert durable(disk) == [floor_record(0, 2)]


def test_compacted_file_is_what_the_next_process_opens(eager, tmp_path):
    path = tmp_path / "votes.log"
    disk = FileLog.create(path, b"header")
    votes = VoteLog(disk, [])
    for view in (1, 2, 3):
        votes.append(vote_record(view))
    votes.compact(0, 2)
    votes.append(vote_record(4))
    votes.sync()
    disk.close()
    opened = FileLog.open(path, b"header")
    assert durable(opened) == [floor_record(0, 2), vote_record(2), vote_record(3), vote_record(4)]
    opened.close()


positions = st.tuples(st.integers(0, 3), st.integers(0, 9))
steps = st.lists(st.tuples(st.sampled_from(["append", "floor", "sync", "compact", "crash"]), positions), max_size=30)


@given(steps)
def test_validator_never_signs_what_it_may_have_signed_whatever_is_dropped_and_lost(history):
    """Given any history of votes, syncs, compactions and crashes, then what was durable is refused or given again, not changed."""
    disk = MemoryLog()
    votes = VoteLog(disk, [])
    made = {}
    pending = {}
    tip = (0, 0)
    for action, (epoch, view) in history:
        if action == "append":
            if (epoch, view) >= tip and (epoch, view) not in pending | made:
                pending[epoch, view] = vote(VoteKind.NOTARIZE, 0, view, epoch=epoch)
                votes.append(VoteRecord(vote=pending[epoch, view]))
        elif action == "floor":
            votes.append(floor_record(epoch, view))
        elif action == "sync":
            votes.sync()
            made |= pending
            pending = {}
        elif action == "compact":
            tip = max(tip, (epoch, view))
            with mock.patch.object(vote_log_module, "APPENDED_MAX", 0):
                votes.compact(*tip)
            made |= pending
            pending = {}
        else:
            disk.crash()
            votes = VoteLog(disk, durable(disk))
            pending = {}
    disk.crash()
    check_signer(durable(disk), made)


def check_signer(records, made):
    """Assert that a signer with these records signs nothing that conflicts with the votes that were made."""
    known = [record.vote for record in records if isinstance(record, VoteRecord)]
    signer = VoteSigner(CHAIN_ID, stand_in_key("v0").sign, known, signing_floor(records))
    for (epoch, view), earlier in made.items():
        assert signer.sign(VoteKind.NOTARIZE, epoch, view, b"B" * 32, b"", 0) is None
        again = signer.sign(VoteKind.NOTARIZE, epoch, view, earlier.block_hash, b"", 0)
        assert again in {None, earlier}
