"""One Lua script in Redis, whose calls of the same moment share a round trip."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from shared.core.errors import StoreDown


@dataclass(frozen=True, slots=True)
class _Call:
    keys: Sequence[str]
    arguments: Sequence[str | int]
    answer: asyncio.Future[Any]


class BatchedScript:
    """A script that answers with integers.

    One pipeline is under way at a time. What is called meanwhile leaves together in the next one, so a
    crowd needs one connection, not one each. `deadline` is how long a call may take, in seconds,
    connecting included; the client should not retry by itself.
    """

    def __init__(self, client: Redis, text: str, deadline: float) -> None:
        self._client = client
        self._text = text
        self._digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        self._deadline = deadline
        self._waiting: list[_Call] = []
        self._sending: asyncio.Task[None] | None = None

    async def __call__(self, keys: Sequence[str], arguments: Sequence[str | int]) -> Any:
        """What the script answers. Raises `StoreDown` when that is an error, or comes too late."""
        loop = asyncio.get_running_loop()
        call = _Call(keys, arguments, loop.create_future())
        self._waiting.append(call)
        if self._sending is None or self._sending.done():
            self._sending = loop.create_task(self._send_all())
        try:
            async with asyncio.timeout(self._deadline):
                return await call.answer
        except (RedisError, OSError) as error:
            raise StoreDown(f"Redis did not run a script: {str(error) or 'no answer in time'}.") from error

    async def _send_all(self) -> None:
        while batch := [call for call in self._waiting if not call.answer.done()]:
            self._waiting.clear()
            for call, answer in zip(batch, await self._send(batch), strict=True):
                if call.answer.done():
                    continue  # The caller went away, or its time was up.
                if isinstance(answer, Exception):
                    call.answer.set_exception(answer)
                else:
                    call.answer.set_result(answer)

    async def _send(self, batch: Sequence[_Call]) -> list[Any]:
        """An answer or an error for each call."""
        try:
            async with asyncio.timeout(self._deadline):
                answers = await self._pipeline(batch)
                if any(isinstance(answer, NoScriptError) for answer in answers):
                    answers = await self._load_and_resend(batch, answers)
                return answers
        except (RedisError, OSError) as error:
            return [error] * len(batch)

    async def _load_and_resend(self, batch: Sequence[_Call], answers: Sequence[Any]) -> list[Any]:
        """Redis forgets its scripts when it restarts. Only what was not run is sent again."""
        await self._client.script_load(self._text)
        unrun = [
            call for call, answer in zip(batch, answers, strict=True) if isinstance(answer, NoScriptError)
        ]
        late = iter(await self._pipeline(unrun))
        return [next(late) if isinstance(answer, NoScriptError) else answer for answer in answers]

    async def _pipeline(self, batch: Sequence[_Call]) -> list[Any]:
        async with self._client.pipeline(transaction=False) as pipeline:
            for call in batch:
                pipeline.evalsha(self._digest, len(call.keys), *call.keys, *call.arguments)
            answers: list[Any] = await pipeline.execute(raise_on_error=False)
            return answers
