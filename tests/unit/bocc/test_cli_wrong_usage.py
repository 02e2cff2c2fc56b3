"""What a person mistypes is refused before anything is signed or paid for, with what would do."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from bocc.cli import tx
from bocc.errors import InputReason, InputRejected
from bocc.home import find_url
from bocc.wallet import Keyring, development_seed
from state.keyfile import KeyKind


@pytest.fixture
def home(tmp_path):
    Keyring(tmp_path).add("alice", development_seed(KeyKind.ACCOUNT, 0), KeyKind.ACCOUNT, None)
    return tmp_path


def run(home, *arguments):
    return CliRunner().invoke(tx.command, [*arguments, "--home", str(home), "--node", "http://127.0.0.1:1"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--amount", "0", "--to", "alice"], "more than 0"),
        (["--amount", "1", "--to", "alice", "--timeout", "nan"], "no duration"),
        (["--amount", "1", "--to", "alice", "--timeout", "inf"], "range"),
        (["--amount", "1", "--to", "alice", "--cosigner", "alice"], "each key signs once"),
    ],
)
def test_nonsense_is_wrong_usage(home, arguments, words):
    outcome = run(home, "transfer", "--from", "alice", *arguments)
    assert outcome.exit_code == 2
    assert words in outcome.output


def test_an_unknown_name_is_told_with_the_known_ones(home):
    outcome = run(home, "transfer", "--from", "alice", "--to", "nobody", "--amount", "1")
    assert isinstance(outcome.exception, InputRejected)
    assert outcome.exception.reason is InputReason.UNKNOWN_NAME
    assert (outcome.exception.seen, outcome.exception.bound) == ("nobody", "an address, or one of alice")


@pytest.mark.parametrize("url", ["ftp://x", "http://[::1", "http://", "http://host:0", "http://host:99999"])
def test_a_url_that_reaches_no_node_is_refused_before_anything_is_tried(tmp_path, url):
    with pytest.raises(InputRejected) as caught:
        find_url(tmp_path, url)
    assert caught.value.reason is InputReason.BAD_URL
