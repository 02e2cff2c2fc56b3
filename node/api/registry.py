"""What a method is: a name, a struct of parameters, the type of its result, a handler. The table itself stands in `methods`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from node.api.errors import ApiReason, ErrorCode, RpcError

if TYPE_CHECKING:
    from node.api.context import Call

Height = Annotated[int, Meta(ge=0, le=(1 << 53) - 1, description="Block height.")]
"""Height, index or time in JSON: an integer that every reader keeps exactly."""
_HASH_PATTERN: Final = r"^[0-9a-f]{64}\Z"
_BYTES_PATTERN: Final = r"^([0-9a-f]{2})*\Z"
_AMOUNT_PATTERN: Final = r"^(0|[1-9][0-9]{0,18})\Z"
_PATTERN_WORDS: Final = {
    _HASH_PATTERN: "64 lower-case hex digits",
    _BYTES_PATTERN: "lower-case hex digits, an even number of them",
    _AMOUNT_PATTERN: "a decimal string of ubocc",
}
"""What a refusal says instead of the pattern."""
HexHash = Annotated[str, Meta(pattern=_HASH_PATTERN, description="32 bytes, lower-case hex.")]
HexBytes = Annotated[str, Meta(pattern=_BYTES_PATTERN, description="Lower-case hex.")]
AddressText = Annotated[str, Meta(min_length=8, max_length=90, description="bech32m address, bocc1...")]
AmountText = Annotated[str, Meta(pattern=_AMOUNT_PATTERN, description="ubocc, a decimal string.")]


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Base of the parameters of a method: given by name, or by position in the order of the fields."""


class NoParams(Params, frozen=True):
    """A method without parameters."""


ParamsType = TypeVar("ParamsType", bound=Params)
ResultType = TypeVar("ResultType")


class Method(Struct, frozen=True):
    """One row of the table."""

    name: str
    summary: str
    params_type: type[Params]
    result_type: Any  # any type that has a JSON schema
    handler: Callable[[Call, Any], Any]  # checked by `method`, which knows both types
    errors: tuple[ErrorCode, ...]
    """Codes it may answer with, beside those of any call."""
    example: Mapping[str, Any]  # JSON
    """Parameters by name, valid on the fixture chain of the tests."""
    is_read: bool
    """Whether GET may call it: it changes nothing and needs no connection."""
    sequence_names: frozenset[str]
    """Parameters that are lists, given in a URL as one text with commas."""


def method(
    name: str,
    params_type: type[ParamsType],
    result_type: type[ResultType],
    handler: Callable[[Call, ParamsType], ResultType | Awaitable[ResultType]],
    *,
    errors: tuple[ErrorCode, ...] = (),
    example: Mapping[str, Any] | None = None,
    is_read: bool = True,
) -> Method:
    """Make a row whose handler fits its types; the summary is the first line of the handler's docstring."""
    summary = (handler.__doc__ or "").strip().partition("\n")[0]
    assert summary, f"{name} needs a docstring"
    return Method(
        name=name,
        summary=summary,
        params_type=params_type,
        result_type=result_type,
        handler=handler,
        errors=errors,
        example=example or {},
        is_read=is_read,
        sequence_names=frozenset(field for field, hint in get_type_hints(params_type).items() if _is_sequence(hint)),
    )


def _is_sequence(hint: Any) -> bool:
    return get_origin(hint) is tuple or any(_is_sequence(argument) for argument in get_args(hint))


def convert_params(method: Method, given: list[Any] | dict[str, Any]) -> Params:
    """Return the typed parameters of a call.

    Raises:
        RpcError: INVALID_PARAMS, naming the parameter.
    """
    if isinstance(given, list):
        names = method.params_type.__struct_encode_fields__
        if len(given) > len(names):
            raise RpcError(ErrorCode.INVALID_PARAMS, ApiReason.BAD_PARAMS, f"{len(given)} parameters", len(names))
        given = dict(zip(names, given, strict=False))
    try:
        return msgspec.convert(given, method.params_type)
    except msgspec.ValidationError as error:
        raise _bad_params(method, error) from error


def convert_query(method: Method, query: list[tuple[str, str]]) -> Params:
    """Return the typed parameters of a URL's query.

    Raises:
        RpcError: INVALID_PARAMS, naming the parameter.
    """
    given: dict[str, Any] = {}
    for name, text in query:
        if name in given:
            raise RpcError(ErrorCode.INVALID_PARAMS, ApiReason.BAD_PARAMS, f"{name} twice", "once")
        given[name] = [part for part in text.split(",") if part] if name in method.sequence_names else text
    try:
        return msgspec.convert(given, method.params_type, strict=False)
    except msgspec.ValidationError as error:
        raise _bad_params(method, error) from error


def _bad_params(method: Method, error: msgspec.ValidationError) -> RpcError:
    known = ", ".join(method.params_type.__struct_encode_fields__) or "none"
    text = str(error)
    for pattern, words in _PATTERN_WORDS.items():
        text = text.replace(f"`str` matching regex {pattern!r}", words)
    return RpcError(ErrorCode.INVALID_PARAMS, ApiReason.BAD_PARAMS, text, f"parameters: {known}")
