"""The parameters of a chain from the JSON of a node, for computing fees."""

from __future__ import annotations

from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from bocc.errors import AnswerMalformed
from state.codec import Wire
from state.params import Params

Json = Any  # free JSON of the node; conversion to `Params` checks it


def parse_params(document: Json) -> Params:
    """Return the parameters that a node's `params` spells by name; amounts may be decimal strings.

    Raises:
        AnswerMalformed: a member is missing, unknown, or of another type than in this version.
    """
    try:
        return msgspec.convert(_unname(Params, document), Params, strict=False)
    except (msgspec.ValidationError, KeyError, TypeError) as error:
        raise AnswerMalformed(f"the node's parameters are not those of this version: {error!r}") from error


def _unname(wire_type: Json, named: Json) -> Json:
    """Return the array form of an object by name, for structs, tuples of structs and plain values."""
    if isinstance(wire_type, type) and issubclass(wire_type, Wire):
        types = get_type_hints(wire_type)
        return [_unname(types[name], named[name]) for name in wire_type.__struct_fields__]
    origin: object = get_origin(wire_type)
    return [_unname(get_args(wire_type)[0], item) for item in named] if origin is tuple else named
