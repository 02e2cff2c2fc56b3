"""Laws of port choice: guessable, moved as a block, and never guessed where they were chosen."""

from __future__ import annotations

import socket
from random import Random

import pytest

from bocc.errors import InputReason, InputRejected
from bocc.testnet.ports import BASE_PORT, HOST, block_ports, find_base, is_free, random_base, require_base


def test_ports_follow_the_rule_base_plus_ten_per_node_plus_offset():
    assert block_ports(9700, 2) == [9700, 9701, 9702, 9710, 9711, 9712]


def test_first_choice_is_the_usual_base():
    assert find_base(4, probe=lambda _: True) == BASE_PORT


def test_one_taken_port_moves_the_whole_block():
    assert find_base(4, probe=lambda port: port != BASE_PORT + 31) == BASE_PORT + 100


def test_blocks_of_many_nodes_do_not_overlap():
    assert find_base(32, probe=lambda port: port != BASE_PORT) == BASE_PORT + 320


def test_chosen_base_is_never_moved():
    assert require_base(20_000, 4, probe=lambda _: True) == 20_000
    with pytest.raises(InputRejected) as caught:
        require_base(20_000, 4, probe=lambda port: port not in {20_001, 20_032})
    assert (caught.value.reason, caught.value.seen) == (InputReason.PORTS_TAKEN, "20001, 20032")


def test_base_whose_ports_would_exceed_the_range_is_refused():
    with pytest.raises(InputRejected) as caught:
        require_base(65_530, 4, probe=lambda _: True)
    assert caught.value.reason is InputReason.PORTS_TAKEN


def test_full_machine_is_a_refusal_and_not_an_endless_search():
    for choose in (lambda: find_base(4, probe=lambda _: False), lambda: random_base(4, Random(1), lambda _: False)):
        with pytest.raises(InputRejected) as caught:
            choose()
        assert caught.value.reason is InputReason.PORTS_TAKEN


def test_random_bases_stay_below_the_ports_of_outgoing_connections():
    bases = [random_base(32, Random(seed), lambda _: True) for seed in range(200)]
    assert min(bases) >= 10_000
    assert max(bases) + 320 <= 32_000


def test_port_with_a_listener_is_not_free():
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert not is_free(port)
    assert is_free(port)
