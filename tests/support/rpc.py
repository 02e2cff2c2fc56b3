"""The API without sockets: calls go through the dispatcher's bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from node.api.config import ApiConfig
from node.api.context import Call
from node.api.dispatch import Dispatcher
from node.api.intake import SubmissionQueue
from node.api.methods import METHODS, encode_documents
from node.api.proofs import ProofBuilder
from tests.support.fixture_chain import FixtureNode


class Refused(Exception):
    """An error object, as the caller sees it."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error)
        self.code = error["code"]
        self.message = error["message"]
        self.reason = error["data"]["reason"]
        self.seen = error["data"].get("seen")
        self.bound = error["data"].get("bound")
        self.hint = error["data"].get("hint")
        self.earliest = error["data"].get("earliest")


class Rpc:
    """One node's API with its intake running."""

    def __init__(self, node: FixtureNode, config: ApiConfig) -> None:
        self.node = node
        self.dispatcher = Dispatcher(METHODS)
        self.intake = SubmissionQueue(node, config.intake_max)
        self.context = Call(
            node=node,
            config=config,
            intake=self.intake,
            proofs=ProofBuilder(node.chain),
            documents=encode_documents(node.chain.genesis, config.public_url),
        )

    async def body(self, body: bytes) -> Any:
        """Send a body and return the parsed answer, None if there is none."""
        answer = await self.dispatcher.handle(body, self.context)
        return None if answer is None else msgspec.json.decode(answer)

    async def call(self, method: str, **params: Any) -> Any:
        """Call a method and return its result.

        Raises:
            Refused: the answer is an error.
        """
        request = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
        answer = await self.body(msgspec.json.encode(request))
        assert answer["id"] == 7
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["result"]


@asynccontextmanager
async def running(node: FixtureNode, config: ApiConfig | None = None) -> AsyncIterator[Rpc]:
    """Give the API of a node while its intake runs."""
    rpc = Rpc(node, config or ApiConfig())
    async with asyncio.TaskGroup() as tasks:
        consumer = tasks.create_task(rpc.intake.run())
        yield rpc
        consumer.cancel()


async def ask(node: FixtureNode, method: str, **params: Any) -> Any:
    """Call a method of a node whose API runs for this call alone, and return its result."""
    async with running(node) as rpc:
        return await rpc.call(method, **params)


async def refusal_of(node: FixtureNode, method: str, **params: Any) -> str:
    """Return why such a call, which must not succeed, is refused."""
    async with running(node) as rpc:
        try:
            told = await rpc.call(method, **params)
        except Refused as refusal:
            return refusal.reason
        raise AssertionError(told)
