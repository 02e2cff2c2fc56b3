"""Short names of the protocol: their letters are all that they may have."""

from __future__ import annotations

import pytest

from state.codec import Codec, encode
from state.errors import Malformed
from state.offers import RegisterName, Words
from state.policies import Advisory

NAMES = [(RegisterName, "mr_td"), (Words, "data-centre.1_a"), (Advisory, "INTEL-SA-00615")]


@pytest.mark.parametrize(("kind", "name"), NAMES, ids=[name for _, name in NAMES])
def test_a_name_has_its_letters_and_no_line_end(kind: type[str], name: str) -> None:
    codec = Codec(kind, 100)
    assert codec.decode(encode(name)) == name
    for other in (name + "\n", "\n" + name, name + "\n" + name, name + " ", name + "é", ""):
        with pytest.raises(Malformed):
            codec.decode(encode(other))
