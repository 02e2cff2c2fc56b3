"""The OpenRPC document of a method table, generated: names, types, bounds and descriptions come from the code alone.

Version 1.2.6, because the test tools refuse later ones. Source: OpenRPC Specification 1.2.6.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from node.api.errors import MESSAGES
from node.api.registry import Method

OPENRPC_VERSION: Final = "1.2.6"
API_VERSION: Final = "1.0.0"
"""Of this interface. Additions raise the second number; nothing is ever renamed or removed within the first."""
_REFERENCE: Final = "#/components/schemas/{name}"
_DESCRIPTION: Final = (
    "JSON-RPC 2.0 by HTTP POST, reads also by GET /rpc/<method>?name=value, everything by WebSocket at /ws. "
    "Heights, indices and milliseconds are integers, amounts decimal strings of ubocc, bytes lower-case hex, addresses bech32m. "
    "Every error has data.reason."
)


def describe(methods: Sequence[Method], url: str) -> dict[str, Any]:
    """Return the document of these methods as served at this URL."""
    fields = {method.name: msgspec.structs.fields(method.params_type) for method in methods}
    types = [field.type for method in methods for field in fields[method.name]]
    types += [method.result_type for method in methods]
    schemas, components = _with_their_patterns(msgspec.json.schema_components(types, ref_template=_REFERENCE))
    param_schemas = iter(schemas[: -len(methods)])
    entries = [
        _entry(
            method,
            [_param(field, next(param_schemas)) for field in fields[method.name]],
            result_schema,
        )
        for method, result_schema in zip(methods, schemas[-len(methods) :], strict=True)
    ]
    return {
        "openrpc": OPENRPC_VERSION,
        "info": {"title": "bocc node", "version": API_VERSION, "description": _DESCRIPTION},
        "servers": [{"name": "node", "url": url}],
        "methods": entries,
        "components": {"schemas": components},
    }


def _with_their_patterns(schema: Any) -> Any:  # JSON
    r"""Return schemas with patterns as those who read them write them: the end of a text is `$` there, not `\Z`."""
    if isinstance(schema, dict):
        return {
            name: re.sub(r"\\Z\Z", "$", part)
            if name == "pattern" and isinstance(part, str)
            else _with_their_patterns(part)
            for name, part in schema.items()
        }
    return [_with_their_patterns(part) for part in schema] if isinstance(schema, list | tuple) else schema


def _entry(method: Method, params: list[dict[str, Any]], result_schema: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": method.name,
        "summary": method.summary,
        "paramStructure": "either",
        "params": params,
        "result": {"name": f"{method.name}_result", "schema": result_schema},
        "examples": [
            {
                "name": f"{method.name}_example",
                "params": [{"name": name, "value": value} for name, value in method.example.items()],
                "result": {"name": f"{method.name}_result", "value": None},
            }
        ],
    }
    if method.errors:
        entry["errors"] = [{"code": int(code), "message": MESSAGES[code]} for code in method.errors]
    return entry


def _param(field: msgspec.structs.FieldInfo, schema: dict[str, Any]) -> dict[str, Any]:
    if field.default is not msgspec.NODEFAULT:
        schema = {**schema, "default": msgspec.to_builtins(field.default)}
    return {"name": field.encode_name, "required": field.required, "schema": schema}
