"""An order to fill in, as `bocc order init` prints it."""

from __future__ import annotations

from typing import Final

TEMPLATE: Final = '''\
# An order of work. `bocc order validate FILE` checks it without a node,
# `bocc order create FILE --from NAME --dry-run` against a chain, and without --dry-run it is sent.
# Amounts are BOCC ("0.25") or ubocc ("5ubocc"); durations "10s", "5m", "1h30m", "90d".

# The machine. Three ways:
#  1. resource = "boccres1..."       this machine
#  2. neither resource nor any       the cheapest machine that has what is asked for below
#  3. any = true                     whichever provider accepts first, at price_max or less
[compute]
# resource = "boccres1..."
# plan = 0                          # the cheapest open one without
# any = true
quantity = 1                        # units of the plan at a time
# price_max = "0.001"               # per unit; without: the price of now
# tee = "tdx"                       # sgx, tdx, sev_snp or nitro
capacity = { vcpus = 1, memory_mib = 512 }  # also disk_mib, network_mbps, gpus = { h100 = 1 }

# With any = true, what the plan of whoever accepts must promise:
# beat_every_max = "60s"             # a proof at least this often
# grace_max = "5m"                   # how long it may be silent
# penalty_bp_min = 500               # what it pays then, in hundredths of a percent of what it could still have earned
# notice_min = "0s"                 # how long before it leaves it must say so
# min_term_max = "5m"                # least time that is paid once it has started

# What runs on it, up to four pieces, in the order in which they are loaded.
[[software]]
resource = "boccres1..."
# release = 3                       # the newest current one without
# category = "inference"            # in place of resource: the cheapest offer of this class

# What it works on. Sealed data need a key from their owner before the work starts.
# [[data]]
# resource = "boccres1..."

# Machines that keep something.
# [[storage]]
# resource = "boccres1..."
# quantity = 100                    # gigabytes, under a plan per gb_second

[workload]
args_file = "args.json"             # pinned by its SHA-256; the enclave must start with exactly this
# args_digest = "00..."             # or that digest itself
# args_public = "{}"                # or the arguments themselves, for everybody to read
# args_reference = "https://..."    # where the (sealed) arguments are, for the provider
# manifest_root = "00..."

[terms]
accept_by = "10m"                   # from now, or a date: 2027-01-31T12:00:00Z
start_by = "20m"
end_by = "2h"
attempts = 2                        # providers that may try it, one after the other
level_min = 4                       # least level of the enclave at every moment: 5 up to date ... 1 SIMULATED
# constraints = """                 # what else you ask of the enclave
# all_of(
#   tee_in(tdx, sev_snp),
#   endorsed(platform, bocc1..., data-centre),
# )"""
# purpose = "research"              # for owners who ask for one
# output_to = "customer"            # or owner, or both
# result_key = "00..."              # X25519 key to which the output is sealed; without, one is made beside this file
# after = ["boccord1..."]           # your orders whose outputs this one waits for
# deposit = "10"                    # into escrow; without, what the whole duration costs. The rest comes back
'''


_SIMULATED_CHANGES: Final = (
    ('resource = "boccres1..."\n# release', 'category = "simulated-tee"\n# release'),
    (
        'args_file = "args.json"             # pinned',
        """args_public = '{"seconds": 10}'    # for everybody to read; pinned""",
    ),
    ("level_min = 4 ", "level_min = 1 "),
)


def simulated_template() -> str:
    """Return an order that the SIMULATED provider of a local network takes as it is."""
    text = TEMPLATE
    for old, changed in _SIMULATED_CHANGES:
        assert text.count(old) == 1, old
        text = text.replace(old, changed)
    return text
