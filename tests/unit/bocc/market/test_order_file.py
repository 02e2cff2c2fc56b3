"""Laws of order.toml: the template is an order, and everything that needs no node is checked without one."""

from __future__ import annotations

import re
from hashlib import sha256

import pytest

from bocc.errors import InputReason, InputRejected
from bocc.market.forms import parse_form
from bocc.market.order_file import Dates, OrderForm, build_workload, check_shape
from bocc.market.order_template import TEMPLATE, simulated_template
from state.address import format_address
from state.order_terms import Workload

NOW_MS = 1_750_000_000_000
A, B = (format_address(b"\x01" + bytes([number]) * 20) for number in (1, 2))
GOOD = f"""
[compute]
resource = "{A}"
[workload]
args_digest = "{"0a" * 32}"
[terms]
end_by = "1h"
"""


def check(text: str) -> Dates:
    return check_shape(parse_form(text, OrderForm), NOW_MS)


def test_template_is_an_order_once_its_software_is_named():
    form = parse_form(TEMPLATE.replace('"boccres1..."', f'"{A}"'), OrderForm)
    assert check_shape(form, NOW_MS) == Dates(NOW_MS + 600_000, NOW_MS + 1_200_000, NOW_MS + 7_200_000)
    assert [want.place for want in form.wants()] == ["compute", "software[0]"]


FILLED = re.sub(
    r"^# (\[\[\w+\]\])$", r"\1", TEMPLATE.replace("boccres1...", A).replace("00...", "00"), flags=re.MULTILINE
)
LEFT_OUT = re.findall(r"^# \w+ = (?!\"\"\").*$", FILLED, re.MULTILINE)


@pytest.mark.parametrize("line", LEFT_OUT, ids=lambda line: line[2:20])
def test_what_the_template_leaves_out_may_be_filled_in(line):
    order = format_address(b"\x02" + bytes(20))
    assert parse_form(FILLED.replace(line, line.removeprefix("# ").replace("boccord1...", order)), OrderForm)


def test_template_for_a_local_network_is_an_order_as_it_is(tmp_path):
    form = parse_form(simulated_template(), OrderForm)
    check_shape(form, NOW_MS)
    arguments = b'{"seconds": 10}'
    assert build_workload(form.workload, tmp_path) == Workload(
        args_digest=sha256(arguments).digest(), args_reference="data:,%7B%22seconds%22%3A%2010%7D", manifest_root=b""
    )


def test_dates_may_be_written_as_dates():
    dates = check(GOOD.replace('"1h"', "2025-06-15T16:06:40Z\naccept_by = 2025-06-15T15:07:00"))
    assert dates == Dates(NOW_MS + 20_000, NOW_MS + 1_200_000, NOW_MS + 3_600_000)


@pytest.mark.parametrize(
    ("old", "new", "seen"),
    [
        ("end_by =", "ends_by =", "Object contains unknown field `ends_by` - at `terms`"),
        ('end_by = "1h"', "", "Object missing required field `end_by` - at `terms`"),
        ('"1h"', '"soon"', "bad duration: 'soon' (allowed: 10s, 5m, 1h30m, 90d; 0 for none) - at `terms.end_by`"),
        ('"1h"', '"1h"\nattempts = 0', "Expected `int` >= 1 - at `terms.attempts`"),
        ('"1h"', '"1h"\noutput_to = "all"', "Invalid enum value 'all' - at `terms.output_to`"),
        ('"1h"', '"1h"\ndeposit = "much"', "bad amount: 'much' (allowed: 5, 0.25 or 5ubocc) - at `terms.deposit`"),
        ('"1h"', '"1h"\nafter = ["x"]', "bad bech32m: x - at `terms.after[0]`"),
        ('"1h"', '"1h"\nconstraints = "level(4)"', None),
        (A, "boccres1x", "bad bech32m: boccres1x - at `compute.resource`"),
        ("resource =", "quantity = 0 #", "Expected `int` >= 1 - at `compute.quantity`"),
        ("resource =", 'tee = "trustzone" #', "Invalid enum value 'trustzone' - at `compute.tee`"),
        ("[compute]", "[compute", None),
        ("args_digest = ", 'args_digest = "zz" #', "'zz' cannot stand here - at `workload.args_digest`"),
    ],
)
def test_field_that_is_wrong_is_told_with_its_place(old, new, seen):
    assert old in GOOD
    with pytest.raises(InputRejected) as caught:
        check(GOOD.replace(old, new))
    assert caught.value.reason is InputReason.BAD_FILE
    assert seen is None or caught.value.seen == seen


@pytest.mark.parametrize(
    ("old", "new", "seen"),
    [
        ('"1h"', '"1h"\naccept_by = "0"', "terms.accept_by: 0 before now"),
        ('"1h"', '"1h"\nstart_by = "5m"', "terms.start_by: 5m before terms.accept_by"),
        ('"1h"', '"15m"', "terms.end_by: 5m before terms.start_by"),
        ('"1h"', "2030-01-01T00:00:00Z", "terms.end_by: 1660d8h53m20s"),
        (f'resource = "{A}"', "any = true", "compute: any = true"),
        (f'resource = "{A}"', f'any = true\nprice_max = "1"\nresource = "{A}"', "compute: any = true"),
        (f'resource = "{A}"', "plan = 1", "compute: plan = 1"),
        ("[workload]", "[[data]]\nquantity = 2\n[workload]", "data[0]: no resource"),
        ("[workload]", '[[data]]\ncategory = "x"\nrelease = 1\n[workload]', "data[0]: no resource"),
        ("[workload]", f'[[data]]\nresource = "{B}"\n' * 2 + "[workload]", "data[1]: the same resource twice"),
        ("[workload]", f'[[software]]\nresource = "{B}"\n' * 5 + "[workload]", "software: 5"),
        ("[workload]", f'[[storage]]\nresource = "{B}"\n' * 16 + "[workload]", "lines: 17"),
        ("[workload]", '[workload]\nargs_file = "a"', "workload: args_file, args_digest, args_public"),
        ("args_digest = ", 'args_public = "x"\nargs_reference = "y"\n#', "workload.args_public: 1 characters"),
        ("args_digest = ", f'args_public = "{"x" * 251}"\n#', "workload.args_public: 251 characters"),
        ("0a" * 32, "0a", "workload.args_digest: 1 bytes"),
        ('"1h"', '"1h"\nresult_key = "00"', "terms.result_key: 1 bytes"),
    ],
)
def test_shape_that_no_chain_takes_is_told_with_its_place(old, new, seen):
    assert old in GOOD
    with pytest.raises(InputRejected) as caught:
        check(GOOD.replace(old, new))
    assert (caught.value.reason, caught.value.seen) == (InputReason.BAD_FILE, seen)
