"""Files to fill in for each kind of resource, as `bocc resource init` prints them."""

from __future__ import annotations

from typing import Final

_HEAD: Final = '''\
# {What} on offer. `bocc resource publish FILE --from NAME --dry-run` checks it, without --dry-run it is sent.
# Amounts are BOCC ("0.25") or ubocc ("5ubocc"); durations "10s", "5m", "1h30m", "90d".
kind = "{kind}"
title = "{title}"
category = "{category}"             # a word by which others look for it
# meta_hash = "00..."               # SHA-256 of a description that you keep elsewhere

# Who may use it, and for what; without conditions everybody.
# policy = """
# all_of(
#   level_at_least(4),              # 5 up to date ... 1 SIMULATED
#   tee_in(tdx, sev_snp),
#   any_of(customer_in(bocc1...), purpose_is(research)),
#   output_to(customer),
# )"""
# Conditions: customer_in, software_in, with_data_in, hardware_in, tee_in, level_at_least, advisory_not_in, has_gpus, endorsed,
# uses_at_most, between_heights, output_to, purpose_is; joined by all_of, any_of, not.
'''
_SHARES: Final = """
# Who gets the income; without, all of it is the owner's. Shares sum to 10000.
# [[payees]]
# account = "bocc1..."
# share_bp = 2500
"""
_RELEASE: Final = """
[release]
content = "{content}"               # file beside this one: the chain gets its SHA-256
# content_root = "00..."            # or that digest itself, with size
# size = 0
{seal}key_file = "{key}"               # seals the content (to {content}.sealed); made if missing. Keep it: you release it by grant
locators = []                       # where it is kept, such as "https://..."
# requirements = {{ vcpus = 2, memory_mib = 4096 }}
# source_uri = "https://..."        # where it comes from, so that anybody may make it again
# commit = "00..."
# recipe_hash = "00..."
"""
_PROFILE: Final = """
# How it measures when it boots, one for each TEE. Read from a quote or report of a machine that runs it:
# [[release.profiles]]
# evidence = "quote.bin"
# Or written down (`bocc tee decode` shows them):
# [[release.profiles]]
# tee = "tdx"
# registers = { mr_td = "00...", rtmr0 = "00...", rtmr1 = "00...", rtmr2 = "00..." }
# attributes = { td_attributes = { mask = "0000000000000001", expected = "0000000000000000" } }
"""
_CONTENT_PLAN: Final = """
# Terms, one table for each plan; they never change, orders keep a copy.
[[plans]]
unit = "once"                       # or "second", "use"
price = "0.05"
# min_term = "0"                    # least time that is paid once it has started
# max_term = "0"                    # after which an order ends by itself
# stock = 0                         # how many orders at a time; 0: any number
# notice = "1h"                     # before you may end an order that uses it
"""
_MACHINE_PLAN: Final = """
# What the machine has.
[capacity]
vcpus = 8
memory_mib = 32768
disk_mib = 102400
network_mbps = 1000
# gpus = { h100 = 8 }

# Terms, one table for each plan; they never change, orders keep a copy.
[[plans]]
unit = "second"                     # or "once", "gb_second" (storage), "use"
price = "0.001"
capacity = { vcpus = 2, memory_mib = 4096, disk_mib = 10240, network_mbps = 100 }  # what one unit takes
min_term = "1m"                     # least time that is paid once it has started
# max_term = "0"                    # after which an order ends by itself
# stock = 0                         # how many units at a time; 0: as many as fit
beat_every = "60s"                  # how often the enclave proves that it works: only proven time is paid
grace = "5m"                        # how long it may be silent
penalty_bp = 1000                   # what it pays then, in hundredths of a percent of what it could still have earned
notice = "1h"                       # before you may end an order
keep_after = "10m"                  # how long an order waits for money once it is out
"""


def _head(what: str, kind: str, title: str, category: str) -> str:
    fields = {"{What}": what, "{kind}": kind, "{title}": title, "{category}": category}
    head = _HEAD
    for mark, text in fields.items():
        head = head.replace(mark, text)
    return head


TEMPLATES: Final = {
    "data": _head("Data", "data", "Weather of 2026", "weather")
    + _SHARES
    + _RELEASE.format(content="weather.csv", seal="", key="weather.key")
    + _CONTENT_PLAN,
    "software": _head("Software", "software", "Forecasting", "inference")
    + _SHARES
    + _RELEASE.format(content="image.bin", seal="# ", key="image.key")
    + _PROFILE
    + _CONTENT_PLAN,
    "hardware": _head("A machine", "hardware", "Rack 7", "general") + _SHARES + _MACHINE_PLAN,
}
"""By kind of resource. TOML: keys of the top come before tables."""
