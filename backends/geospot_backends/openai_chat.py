"""Any server with OpenAI's chat completions: OpenAI, OpenRouter, vLLM, Ollama, `transformers serve`.

Requests go through the `openai` SDK with its retries switched off (the harness makes every retry and
counts it) and with a body that is put together here: the SDK's own path validates and copies a
65 kB image several times, which costs as much as all the rest of a request.
"""

import asyncio
import base64
import difflib
import json
import os
import uuid
from collections.abc import Mapping
from typing import Any, Final, cast
from urllib.parse import urlsplit

import httpx2
import openai

from geospot.errors import (
    BackendError,
    KeyMissingError,
    ModelNotFoundError,
    UnreachableError,
    UsageError,
)
from geospot.evaluation.backend import BackendFault, BackendOptions, Question, Reply, Usage
from geospot.evaluation.records import LIMIT
from geospot.images import PreparedImage
from geospot.prompts import Prompt
from geospot.services.loopback import is_loopback
from geospot_backends.http_faults import (
    is_content_filter,
    is_image_problem,
    is_out_of_credit,
    status_fault,
)

DEFAULT_BASE_URL: Final = "https://api.openai.com/v1"
KEY_OF_HOST: Final = {"api.openai.com": "OPENAI_API_KEY", "openrouter.ai": "OPENROUTER_API_KEY"}
"""A key is sent only to the host that it belongs to, or where --api-key-env says so."""

_PROBE_TIMEOUT_S: Final = 7.0
_LIST_TIMEOUT_S: Final = 2.0
_CONNECT_TIMEOUT_S: Final = 5.0
_REDACTED_FROM: Final = 12
"""Characters from which a key is cut out of what a server says. A shorter one is a dummy (`EMPTY`, `1`),
and cutting it out would spoil answers."""
_OURS: Final = frozenset(["model", "messages", "stream", "n"])
"""Not to be set by --extra-body: the result would show a model, prompt or image that wasn't asked."""
_IMAGE_MARK: Final = f"image-{uuid.uuid4().hex}"
_PROBE: Final = Prompt("probe", "Answer with the word OK.")
_UNREADABLE: Final = (openai.OpenAIError, ValueError, TypeError, AttributeError, RecursionError)
"""What the SDK raises of a list of models that is none; the last of one that is nested too deep."""


def create(options: BackendOptions) -> "ChatBackend":
    """Entry point of `--backend openai`; connects to nothing yet."""
    if not options.model:
        raise UsageError("The openai backend needs a model.", "Name it with --model.")
    if taken := sorted(_OURS & options.extra_body.keys()):
        raise UsageError(
            f"--extra-body must not set {', '.join(taken)}.",
            "Use --model, --prompt and --samples, which are recorded.",
        )
    return ChatBackend(options.model, options)


class ChatBackend:
    """Asks a chat model about one image a request, sent as a data URI."""

    name = "openai"
    needs_image = True
    remote = True

    def __init__(self, model: str, options: BackendOptions) -> None:
        self.model = model
        self._options = options
        self._base_url = options.base_url or DEFAULT_BASE_URL
        self._host = urlsplit(self._base_url).hostname or ""
        self._key_env = options.api_key_env or KEY_OF_HOST.get(self._host)
        self._key = _read_key(self._key_env, self._host)
        self._limit_name = "max_tokens"
        self._temperature = options.temperature
        self._learned: list[str] = []
        self._client = openai.AsyncOpenAI(
            api_key=self._key or "no-key-needed",
            base_url=self._base_url,
            max_retries=0,
            timeout=httpx2.Timeout(
                options.timeout_s, connect=min(_CONNECT_TIMEOUT_S, options.timeout_s)
            ),
            http_client=openai.DefaultAsyncHttpxClient(
                # A proxy can't reach this machine's own loopback address.
                trust_env=not is_loopback(self._host),
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None),
            ),
        )

    async def check(self) -> None:
        """One tiny request: is the host there, the key right, the model served?"""
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT_S):
                reply = await self._complete(_PROBE, None, max_tokens=16)
        except TimeoutError:
            return  # it is there, and slow: perhaps it is loading the model
        except BackendFault as fault:
            if fault.label == "unreachable":
                raise UnreachableError(
                    f"Nothing answers at {self._base_url}: {fault.message}.",
                    "Is the server running, and the address right?",
                ) from None
            if fault.kind == "permanent" and fault.label in ("400", "404", "405", "422"):
                await self._explain(fault)
        else:
            if reply.refused and not reply.text:
                raise BackendError(
                    f"{self._host} filters even a request without an image.",
                    "Check the account's content filter, and --extra-body.",
                )

    async def models(self) -> list[str]:
        """Names of the models served, empty where the server doesn't say. Costs nothing.

        Raises:
            UnreachableError: nothing answers.
            KeyMissingError: the key is refused.
        """
        try:
            return await self._list(_PROBE_TIMEOUT_S)
        except openai.APIStatusError as error:
            if error.status_code not in (401, 403):
                return []  # many a server lists none
            where = f"in {self._key_env}" if self._key_env else "(none was sent)"
            raise KeyMissingError(
                f"{self._host} refuses the key {where}: {self._message(error)}.",
                "Set the variable to a valid key, or name another one with --api-key-env.",
            ) from None
        except (TimeoutError, openai.APIConnectionError) as error:
            silent = isinstance(error, TimeoutError | openai.APITimeoutError)
            reason = "it stays silent" if silent else self._connection_fault(error).message
            raise UnreachableError(
                f"Nothing answers at {self._base_url}: {reason}.",
                "Is the server running, and the address right?",
            ) from None
        except _UNREADABLE:
            return []

    async def ask(self, question: Question) -> Reply:
        """One chat completion with the image as a data URI."""
        try:
            async with asyncio.timeout(self._options.timeout_s):
                return await self._complete(
                    question.prompt, question.image, max_tokens=self._options.max_tokens
                )
        except TimeoutError:
            raise BackendFault(
                "transient", f"no answer within {self._options.timeout_s:g} s", label="timeout"
            ) from None

    def describe(self) -> dict[str, Any]:
        """Address, name of the key's variable, and which parameters the model made us change."""
        return {
            "name": self.name,
            "model": self.model,
            "base_url": self._base_url,
            "api_key_env": self._key_env,
            "learned": list(self._learned),
        }

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._client.close()

    async def _complete(
        self, prompt: Prompt, image: PreparedImage | None, *, max_tokens: int
    ) -> Reply:
        while True:
            sent = (self._limit_name, self._temperature)
            body = self._body(prompt, image, max_tokens)
            try:
                response = await self._client.post(
                    "/chat/completions", cast_to=httpx2.Response, content=body
                )
                return self._read(response)
            except openai.APIStatusError as error:
                if self._learn(error, sent):
                    continue
                return self._refusal_or_raise(error)
            except openai.APITimeoutError as error:
                if isinstance(error.__cause__, httpx2.ConnectTimeout):
                    message = f"no connection within {_CONNECT_TIMEOUT_S:g} s"
                    raise BackendFault("transient", message, label="unreachable") from None
                raise BackendFault("transient", "the request timed out", label="timeout") from None
            except openai.APIConnectionError as error:
                raise self._connection_fault(error) from None

    def _body(self, prompt: Prompt, image: PreparedImage | None, max_tokens: int) -> bytes:
        content: list[dict[str, Any]] = [{"type": "text", "text": prompt.text}]
        if image is not None:
            content.insert(0, {"type": "image_url", "image_url": {"url": _IMAGE_MARK}})
        messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
        if prompt.system:
            messages.insert(0, {"role": "system", "content": prompt.system})
        request: dict[str, Any] = {"model": self.model, "messages": messages}
        request[self._limit_name] = max_tokens
        if self._temperature is not None:
            request["temperature"] = self._temperature
        request |= self._options.extra_body
        text = json.dumps(request).encode()
        if image is None:
            return text
        head, _, tail = text.partition(_IMAGE_MARK.encode())
        uri = f"data:{image.mime};base64,".encode()
        return b"".join([head, uri, base64.b64encode(image.data), tail])

    def _read(self, response: httpx2.Response) -> Reply:
        try:
            body: Any = json.loads(response.content)
        except (ValueError, RecursionError):
            kind = response.headers.get("content-type", "no content type")
            raise BackendFault(
                "transient", f"the answer is no JSON ({kind})", label="no_json"
            ) from None
        if not isinstance(body, dict):
            raise BackendFault("transient", "the answer is no JSON object", label="no_json")
        reply = cast(dict[str, Any], body)
        if reply.get("error"):  # some routers send errors with status 200
            return self._error_in_body(reply)
        choices: Any = reply.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            raise BackendFault("transient", "the answer has no choices", label="no_choices")
        return self._choice(cast(dict[str, Any], choices[0]), reply)

    def _choice(self, choice: dict[str, Any], reply: dict[str, Any]) -> Reply:
        message: Any = choice.get("message")
        message = cast(dict[str, Any], message) if isinstance(message, dict) else {}
        finish = choice.get("finish_reason")
        refusal: Any = message.get("refusal")
        text = _text(message.get("content")) or (refusal if isinstance(refusal, str) else "")
        return Reply(
            text=self._redact(text),
            usage=_usage(reply.get("usage")),
            truncated=finish == "length",
            refused=bool(refusal) or finish == "content_filter",
        )

    def _error_in_body(self, reply: dict[str, Any]) -> Reply:
        error: Any = reply["error"]
        details = (
            cast(dict[str, Any], error) if isinstance(error, dict) else {"message": str(error)}
        )
        code: Any = details.get("code")
        status = code if isinstance(code, int) and 400 <= code < 600 else 500
        if is_content_filter(400, reply):
            return Reply(text="", refused=True)
        raise status_fault(status, {}, self._redact(str(details.get("message", ""))[:500]))

    def _refusal_or_raise(self, error: openai.APIStatusError) -> Reply:
        status, message = error.status_code, self._message(error)
        if is_content_filter(status, error.body):
            return Reply(text="", refused=True)
        if is_out_of_credit(status, error.response.headers, error.body):
            raise BackendError(
                f"The account has no credit left: {message}.", "Top it up, and resume."
            )
        if status == 401 or status == 403:
            where = f"in {self._key_env}" if self._key_env else "(none was sent)"
            raise KeyMissingError(
                f"{self._host} refuses the key {where}: {message}.",
                "Set the variable to a valid key, or name another one with --api-key-env.",
            )
        if is_image_problem(status, error.body):
            raise BackendFault("image", f"HTTP {status}: {message}", label=f"image_{status}")
        raise status_fault(status, error.response.headers, message)

    def _learn(self, error: openai.APIStatusError, sent: tuple[str, float | None]) -> bool:
        """Whether the model merely dislikes a parameter, which from now on is sent otherwise."""
        said = str(error.body or error.message).lower()
        if error.status_code not in (400, 422) or not any(
            word in said for word in ("support", "unrecognized", "unknown", "deprecated", "instead")
        ):
            return False
        if "max_tokens" in said and sent[0] == "max_tokens":
            self._limit_name = "max_completion_tokens"
            self._note("max_completion_tokens instead of max_tokens")
            return True
        if "temperature" in said and sent[1] is not None:
            self._temperature = None
            self._note("no temperature")
            return True
        return False

    def _note(self, lesson: str) -> None:
        if lesson not in self._learned:
            self._learned.append(lesson)

    def _connection_fault(self, error: openai.APIConnectionError) -> BackendFault:
        cause = error.__cause__
        reason = self._redact(str(cause) or type(cause).__name__)
        if isinstance(cause, httpx2.ConnectError):
            return BackendFault("transient", "no connection", label="unreachable")
        return BackendFault("transient", reason, label="connection")

    async def _explain(self, fault: BackendFault) -> None:
        """Turns a refused probe into the likeliest reason: the model's name, or the address."""
        served = await self._served()
        if self.model in served:
            return  # the probe was refused for a reason of its own; the images will show
        if served:
            near = difflib.get_close_matches(self.model, served, n=3, cutoff=0.3)
            raise ModelNotFoundError(
                f"{self._host} doesn't serve the model {self.model!r} ({fault.message}).",
                f"It serves {', '.join(near or served[:5])}{', …' if len(served) > 5 else ''}.",
            )
        if fault.label in ("404", "405"):
            hint = "" if self._base_url.endswith("/v1") else " Addresses mostly end in /v1."
            raise ModelNotFoundError(
                f"{self._base_url} knows no model {self.model!r}, or no chat completions "
                f"({fault.message}).",
                f"Check --model and --base-url.{hint}",
            )

    async def _served(self) -> list[str]:
        """Names of the models served, empty where the server doesn't say."""
        try:
            return await self._list(_LIST_TIMEOUT_S)
        except (TimeoutError, *_UNREADABLE):
            return []  # this list only makes an error message better

    async def _list(self, timeout_s: float) -> list[str]:
        async with asyncio.timeout(timeout_s):
            page = await self._client.models.list()
            return sorted(model.id for model in page.data)

    def _message(self, error: openai.APIStatusError) -> str:
        body: Any = error.body
        said: Any = (
            cast(Mapping[str, Any], body).get("message") if isinstance(body, Mapping) else None
        )
        return self._redact(str(said or error.message)[:500]).rstrip(".")

    def _redact(self, text: str) -> str:
        """`text` without the key, should a server echo it; noted, as it may change an answer."""
        if not self._key or len(self._key) < _REDACTED_FROM or self._key not in text:
            return text
        self._note("the server echoed the key, which was cut out of what it said")
        return text.replace(self._key, "[key]")


def _read_key(variable: str | None, host: str) -> str | None:
    if variable is None:
        return None
    if not variable.replace("_", "a").isalnum() or not variable.isascii() or variable[0].isdigit():
        # Somebody pasted the key itself: don't say it again.
        raise UsageError(
            "--api-key-env takes the NAME of an environment variable, and this is none.",
            "Put the key into a variable, and name that: --api-key-env MY_KEY.",
        )
    key = os.environ.get(variable, "").strip()
    if not key:
        raise KeyMissingError(
            f"{host} needs a key, and the environment variable {variable} is not set.",
            f"Run `export {variable}=…`, or name another variable with --api-key-env.",
        )
    if not key.isascii() or not key.isprintable():
        raise KeyMissingError(
            f"The key in {variable} has characters that no key has.",
            "Copy it again; a typographic dash or quote may have got in.",
        )
    return key


def _text(content: Any) -> str:
    """The answer's text; some servers send it in parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = cast(list[Any], content)
    texts = [cast(dict[str, Any], part).get("text") for part in parts if isinstance(part, dict)]
    return "".join(text for text in texts if isinstance(text, str))


def _usage(usage: Any) -> Usage:
    if not isinstance(usage, dict):
        return Usage()
    counts = cast(dict[str, Any], usage)
    tokens = [counts.get(name) for name in ("prompt_tokens", "completion_tokens")]
    return Usage(*(count if type(count) is int and 0 < count < LIMIT else 0 for count in tokens))
