"""Laws of reporting equivocation: every convicted validator, once, however often it takes."""

from __future__ import annotations

from consensus.effects import ReportEquivocation
from node.convictions import RETRY_TICKS, Convictions
from tests.support.consensus_cast import HASH_B, N, vote

FIRST, SECOND = vote(N, 0), vote(N, 0, block_hash=HASH_B)
LATER = vote(N, 0, view=2), vote(N, 0, view=2, block_hash=HASH_B)


class Reporter:
    """Takes reports while it can."""

    def __init__(self, can_report=True):
        self.can_report = can_report
        self.attempts = []
        self.convictions = Convictions(self.report)

    def report(self, validator, first, second):
        self.attempts.append((validator, first, second))
        return self.can_report

    def convict(self, validator, votes=(FIRST, SECOND)):
        self.convictions.add(ReportEquivocation(validator, *votes))

    def tick(self, count=RETRY_TICKS):
        for _ in range(count):
            self.convictions.tick()


def test_validator_is_reported_at_once_and_once():
    reporter = Reporter()
    reporter.convict(b"v")
    reporter.convict(b"v", LATER)
    reporter.tick()
    assert reporter.attempts == [(b"v", FIRST, SECOND)]


def test_report_that_was_not_possible_is_tried_again_until_it_is():
    reporter = Reporter(can_report=False)
    reporter.convict(b"v")
    reporter.tick(RETRY_TICKS - 1)
    assert len(reporter.attempts) == 1
    reporter.tick(1)
    assert len(reporter.attempts) == 2
    reporter.can_report = True
    reporter.tick()
    reporter.tick()
    assert reporter.attempts == [(b"v", FIRST, SECOND)] * 3


def test_validator_that_waits_is_not_tried_again_for_each_further_pair_of_votes():
    reporter = Reporter(can_report=False)
    reporter.convict(b"v")
    reporter.convict(b"v", LATER)
    assert reporter.attempts == [(b"v", FIRST, SECOND)]


def test_several_validators_are_each_reported_in_the_order_of_their_names():
    reporter = Reporter(can_report=False)
    for validator in (b"w", b"v"):
        reporter.convict(validator)
    reporter.can_report = True
    reporter.tick()
    assert [validator for validator, _, _ in reporter.attempts] == [b"w", b"v", b"v", b"w"]
