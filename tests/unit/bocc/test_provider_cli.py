"""`bocc provider bond` and `run` against a node that is played."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from bocc.cli import provider
from bocc.errors import InputReason, InputRejected
from bocc.provider.agent import SoftwareProvider, provider_bond
from bocc.provider.place import provider_home
from bocc.provider.rules import RULES_NAME
from bocc.wallet import Keyring, development_seed
from state.address import AddressRejected, format_address
from state.keyfile import KeyKind
from tests.support.fake_chain import FakeChain
from tests.support.fake_node import fake_node_in_thread

IMAGE = format_address(b"\x01" + b"\x0c" * 20)


@pytest.fixture
def home(tmp_path):
    """A home with one key, named bob."""
    Keyring(tmp_path).add("bob", development_seed(KeyKind.ACCOUNT, 1), KeyKind.ACCOUNT, None)
    return tmp_path


def invoke(home, *arguments, url="http://127.0.0.1:1"):
    texts = [*map(str, arguments), "--from", "bob", "--home", str(home), "--node", url]
    return CliRunner().invoke(provider.command, texts, standalone_mode=False)


def test_bond_adds_to_the_security_of_a_provider(home):
    with fake_node_in_thread() as node:
        chain = FakeChain(node)
        assert invoke(home, "bond", "2.5", url=node.url).return_value == 0
    (transaction,) = chain.taken.values()
    assert transaction.body.messages == (provider_bond(2_500_000),)


@pytest.fixture
def ran(monkeypatch):
    """What providers were run, in place of running them."""
    seen = []

    async def run(self, find_url, folders):
        seen.append((self, find_url(0), list(folders)))

    monkeypatch.setattr(SoftwareProvider, "run", run)
    monkeypatch.setattr(provider, "configure_logging", lambda *_: None)
    return seen


def test_run_serves_by_the_rules_of_its_home_through_the_node_that_is_named(home, ran):
    assert invoke(home, "run").exception is None
    ((served, url, folders),) = ran
    assert (served.home, url, folders) == (provider_home(home, "bob"), "http://127.0.0.1:1", [home])
    assert (provider_home(home, "bob") / RULES_NAME).exists()
    assert served.rules.image == ""


def test_run_may_name_an_image_in_place_of_that_in_the_rules(home, ran):
    assert invoke(home, "run", "--image", IMAGE).exception is None
    assert ran[0][0].rules.image == IMAGE


def test_run_refuses_what_is_no_image(home, ran):
    assert isinstance(invoke(home, "run", "--image", "boccres1x").exception, AddressRejected)
    assert ran == []


def test_run_refuses_rules_that_mean_nothing(home, ran):
    place = provider_home(home, "bob")
    place.mkdir()
    (place / RULES_NAME).write_text("unknown = 1")
    ended = invoke(home, "run")
    assert isinstance(ended.exception, InputRejected)
    assert (ended.exception.reason, ran) == (InputReason.BAD_RULES, [])
