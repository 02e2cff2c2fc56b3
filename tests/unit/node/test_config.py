"""Laws of the configuration: the same settings in file, environment and flags, strictly read."""

from __future__ import annotations

import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.config import CONFIG_NAME, NodeConfig, load_config, parse_listen, parse_setting, render_config
from node.errors import ConfigError

NAMES = NodeConfig.__struct_fields__
SETTINGS = {
    "rpc_listen": ("0.0.0.0:9801", "0.0.0.0:9801"),
    "rpc_allowed_hosts": ("one.example, two.example", ("one.example", "two.example")),
    "rpc_allowed_origins": ("https://one.example", ("https://one.example",)),
    "metrics_listen": ("", ""),
    "p2p_listen": ("[::]:9800", "[::]:9800"),
    "p2p_advertised": ("one.example:9800", "one.example:9800"),
    "persistent_peers": (f"{'ab' * 20}@one.example:9700", (f"{'ab' * 20}@one.example:9700",)),
    "seed_addresses": ("one.example:9700,two.example:9700", ("one.example:9700", "two.example:9700")),
    "exchange_addresses": ("true", True),
    "allow_private_addresses": ("false", False),
    "push_transactions": ("false", False),
    "archive": ("true", True),
    "disk_free_min_mib": ("512", 512),
    "log_level": ("debug", "debug"),
    "log_format": ("json", "json"),
    "use_uvloop": ("false", False),
    "resume_after": ("3,70", "3,70"),
}
"""Text of each setting, and its value, which differs from the default."""
BAD = {
    "port without host": ("rpc_listen", ":9701"),
    "host without port": ("p2p_listen", "localhost"),
    "port of six digits": ("p2p_listen", "localhost:123456"),
    "metrics without port": ("metrics_listen", "localhost"),
    "unknown level": ("log_level", "verbose"),
    "level of another case": ("log_level", "INFO"),
    "unknown format": ("log_format", "xml"),
    "negative size": ("disk_free_min_mib", "-1"),
    "size with a sign": ("disk_free_min_mib", "+1"),
    "size out of range": ("disk_free_min_mib", "1048577"),
    "size in other digits": ("disk_free_min_mib", "\u0663"),
    "size of thousands of digits": ("disk_free_min_mib", "9" * 5_000),
    "size that is no number": ("disk_free_min_mib", "64M"),
    "empty size": ("disk_free_min_mib", ""),
    "capital truth": ("archive", "True"),
    "number as truth": ("archive", "1"),
    "empty truth": ("archive", ""),
    "view without epoch": ("resume_after", "70"),
    "three numbers": ("resume_after", "1,2,3"),
    "negative view": ("resume_after", "1,-2"),
    "another word": ("resume_after", "never"),
    "port with a line end": ("rpc_listen", "localhost:9701\n"),
    "metrics with a line end": ("metrics_listen", "\n"),
    "view with a line end": ("resume_after", "observe\n"),
}
BAD_FILES = {
    "unknown name": ('rpc_lisen = "127.0.0.1:1"\n', "rpc_lisen"),
    "rule of the chain": ("heartbeat_ms = 5\n", "heartbeat_ms"),
    "table": ("[rpc]\nlisten = 1\n", "rpc"),
    "text as truth": ('archive = "true"\n', "archive"),
    "text as number": ('disk_free_min_mib = "64"\n', "disk_free_min_mib"),
    "number as text": ("rpc_listen = 9701\n", "rpc_listen"),
    "text as list": ('persistent_peers = "one"\n', "persistent_peers"),
    "number in a list": ("persistent_peers = [1]\n", "persistent_peers"),
    "date": ("log_level = 1979-05-27\n", "log_level"),
    "same name twice": ("archive = true\narchive = true\n", "cannot be read"),
    "no TOML": ("archive: true\n", "cannot be read"),
}


def home_with(path: Path, text: str = "") -> Path:
    (path / CONFIG_NAME).write_text(text, encoding="utf-8")
    return path


def variable(name):
    return f"BOCC_{name.upper()}"


def test_every_setting_has_a_case_here():
    assert tuple(SETTINGS) == NAMES
    assert all(value != getattr(NodeConfig(), name) for name, (_, value) in SETTINGS.items())


def test_empty_file_means_the_defaults(tmp_path):
    assert load_config(home_with(tmp_path), {}, {}) == NodeConfig()


@pytest.mark.parametrize("name", NAMES)
def test_setting_is_read_from_the_file(tmp_path, name):
    _, value = SETTINGS[name]
    text = render_config(msgspec.structs.replace(NodeConfig(), **{name: value}))
    assert load_config(home_with(tmp_path, text), {}, {}) == NodeConfig(**{name: value})


@pytest.mark.parametrize("name", NAMES)
def test_setting_is_read_from_the_environment(tmp_path, name):
    text, value = SETTINGS[name]
    assert load_config(home_with(tmp_path), {}, {variable(name): text}) == NodeConfig(**{name: value})


@pytest.mark.parametrize("name", NAMES)
def test_setting_is_read_from_a_flag(tmp_path, name):
    text, value = SETTINGS[name]
    assert load_config(home_with(tmp_path), {name: text}, {}) == NodeConfig(**{name: value})


def test_flag_goes_before_the_environment_and_that_before_the_file(tmp_path):
    home = home_with(tmp_path, 'log_level = "error"\nlog_format = "json"\nrpc_listen = "file:1"\n')
    environment = {"BOCC_LOG_LEVEL": "warning", "BOCC_RPC_LISTEN": "environment:2"}
    config = load_config(home, {"rpc_listen": "flag:3"}, environment)
    assert (config.log_format, config.log_level, config.rpc_listen) == ("json", "warning", "flag:3")


def test_environment_of_the_process_counts_if_none_is_given(tmp_path, monkeypatch):
    monkeypatch.setenv("BOCC_LOG_LEVEL", "warning")
    assert load_config(home_with(tmp_path)).log_level == "warning"


def test_variables_of_other_programs_and_of_the_command_line_are_no_settings(tmp_path):
    environment = {"HOME": "/", "BOCC_HOME": "/home", "BOCC_NODE": "node1", "BOCC_PASSWORD_FILE": "/word"}
    assert load_config(home_with(tmp_path), {}, environment) == NodeConfig()


def test_file_is_not_read_for_what_stands_in_the_environment_wrongly(tmp_path):
    """Given a good value in the file, when the environment has a bad one, then the node does not start with the good one."""
    home = home_with(tmp_path, "archive = true\n")
    with pytest.raises(ConfigError, match="BOCC_ARCHIVE: 'maybe' is neither true nor false"):
        load_config(home, {}, {"BOCC_ARCHIVE": "maybe"})


@pytest.mark.parametrize(
    ("overrides", "environment", "origin"),
    [({"rpc_port": "1"}, {}, "--set rpc_port"), ({}, {"BOCC_RPC_PORT": "1"}, "BOCC_RPC_PORT")],
    ids=["flag", "environment"],
)
def test_unknown_name_is_refused_with_its_origin_and_the_known_ones(tmp_path, overrides, environment, origin):
    with pytest.raises(ConfigError) as caught:
        load_config(home_with(tmp_path), overrides, environment)
    assert str(caught.value) == f"{origin}: there is no setting rpc_port; known are {', '.join(NAMES)}"


@pytest.mark.parametrize(("name", "text"), BAD.values(), ids=BAD)
def test_bad_value_is_refused_by_its_name_wherever_it_stands(tmp_path, name, text):
    home = home_with(tmp_path)
    with pytest.raises(ConfigError, match=name):
        load_config(home, {name: text}, {})
    with pytest.raises(ConfigError, match=f"{name}|{variable(name)}"):
        load_config(home, {}, {variable(name): text})


@pytest.mark.parametrize(("text", "named"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_file_is_refused_by_what_is_wrong(tmp_path, text, named):
    with pytest.raises(ConfigError, match=named) as caught:
        load_config(home_with(tmp_path, text), {}, {})
    assert str(tmp_path / CONFIG_NAME) in str(caught.value)


def test_missing_file_is_told_with_how_to_make_one(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path, {}, {})
    expected = f"{tmp_path / CONFIG_NAME} does not exist; `bocc node init --home {tmp_path}` makes a home"
    assert str(caught.value) == expected


def test_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / CONFIG_NAME).write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path, {}, {})


def test_directory_in_the_place_of_the_file_is_refused(tmp_path):
    (tmp_path / CONFIG_NAME).mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path, {}, {})


def test_template_names_every_setting_once_with_its_default():
    assert tomllib.loads(render_config(NodeConfig())).keys() == set(NAMES)


listens = st.from_regex(r"\A[a-z0-9.\[\]:-]{1,20}:[0-9]{1,5}\Z")
texts = st.text(st.characters(codec="utf-8"), max_size=20)
lists = st.lists(texts, max_size=3).map(tuple)
configs = st.builds(
    NodeConfig,
    rpc_listen=listens,
    rpc_allowed_hosts=lists,
    rpc_allowed_origins=lists,
    metrics_listen=st.just("") | listens,
    p2p_listen=listens,
    p2p_advertised=texts,
    persistent_peers=lists,
    seed_addresses=lists,
    exchange_addresses=st.booleans(),
    allow_private_addresses=st.booleans(),
    push_transactions=st.booleans(),
    archive=st.booleans(),
    disk_free_min_mib=st.integers(0, 1 << 20),
    log_level=st.sampled_from(["debug", "info", "warning", "error"]),
    log_format=st.sampled_from(["text", "json"]),
    use_uvloop=st.booleans(),
    resume_after=st.sampled_from(["", "observe", "0,0"]) | st.from_regex(r"\A[0-9]{1,18},[0-9]{1,18}\Z"),
)


@given(configs)
def test_rendered_configuration_is_read_back_as_it_was(config):
    with TemporaryDirectory() as folder:
        home = home_with(Path(folder), render_config(config))
        assert load_config(home, {}, {}) == config


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:9700", ("127.0.0.1", 9700)),
        ("[::1]:0", ("::1", 0)),
        ("node.example:65535", ("node.example", 65535)),
    ],
)
def test_listen_address_is_host_and_port(text, expected):
    assert parse_listen(text) == expected


def test_port_above_the_highest_is_refused():
    with pytest.raises(ConfigError) as caught:
        parse_listen("localhost:65536")
    assert str(caught.value) == "localhost:65536: a port is at most 65535"


def test_list_has_no_empty_parts():
    assert parse_setting("persistent_peers", " a ,, b,", "flag") == ("a", "b")
    assert parse_setting("persistent_peers", "", "flag") == ()
