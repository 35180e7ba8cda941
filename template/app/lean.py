"""The OpenAI client without the copies and checks that cost it two milliseconds of CPU a request.

A whole answer is fetched by one POST and validated once; a stream goes the client's own way.
"""

import json
from functools import cached_property
from typing import Any

import httpx2
from aiohttp import ClientError
from openai import APIConnectionError, APITimeoutError, AsyncOpenAI, NotGiven, Omit
from openai._models import construct_type
from openai.resources.chat import AsyncChat
from openai.resources.chat.completions import AsyncCompletions
from openai.types.chat import ChatCompletion
from pydantic import ValidationError


class Completions(AsyncCompletions):  # type: ignore[misc]
    """Chat completions of one server."""

    async def create(self, *, stream: bool, **asked: Any) -> Any:
        """Ask for one answer; raises what the client raises."""
        if stream:
            return await super().create(stream=True, **asked)
        client: AsyncOpenAI = self._client
        wait_s, extra = asked.pop("timeout"), asked.pop("extra_body", None) or {}
        headers = {**client.auth_headers, **asked.pop("extra_headers"), "Content-Type": "application/json"}
        body = {name: value for name, value in asked.items() if not isinstance(value, Omit | NotGiven)}
        request = client._client.build_request(
            "POST",
            f"{str(client.base_url).rstrip('/')}/chat/completions",
            content=json.dumps({"stream": False, **body, **extra}),
            headers=headers,
            timeout=httpx2.USE_CLIENT_DEFAULT if isinstance(wait_s, NotGiven) else wait_s,
        )
        return parsed(client, await sent(client._client, request))


async def sent(http: httpx2.AsyncClient, request: httpx2.Request) -> httpx2.Response:
    """The server's response; raise the client's own errors."""
    try:
        return await http.send(request)
    except httpx2.TimeoutException as error:
        raise APITimeoutError(request=request) from error
    except (httpx2.RequestError, ClientError) as error:  # the latter for what is no HTTP at all
        raise APIConnectionError(request=request) from error


def parsed(client: AsyncOpenAI, response: httpx2.Response) -> Any:
    """The completion; raise APIStatusError for a refusal.

    What a server leaves out stays out, and what is no JSON stays text: the caller judges both.
    """
    if response.is_error:
        raise client._make_status_error_from_response(response)
    try:
        return ChatCompletion.model_validate_json(response.content)
    except ValidationError:
        pass
    try:
        return construct_type(value=response.json(), type_=ChatCompletion)
    except ValueError:
        return response.text


class Chat(AsyncChat):  # type: ignore[misc]
    """Chat with the completions above."""

    @cached_property
    def completions(self) -> Completions:
        """Chat completions."""
        return Completions(self._client)


class LeanOpenAI(AsyncOpenAI):  # type: ignore[misc]
    """A client that never asks twice: the next tier is the retry."""

    def __init__(self, key: str, base_url: str | None, http: httpx2.AsyncClient) -> None:
        super().__init__(api_key=key, base_url=base_url, http_client=http, max_retries=0)

    @cached_property
    def chat(self) -> Chat:
        """Chat."""
        return Chat(self)
