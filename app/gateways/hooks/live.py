"""Posting over HTTP to addresses that are not trusted."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from ipaddress import ip_address

import httpx

from app.gateways.hooks.addresses import is_public
from app.gateways.hooks.gateway import AddressRefused, Answer, HookUnavailable
from app.infra.db.unit_of_work import refuse_inside_unit
from app.infra.telemetry.metrics import GATEWAY_SECONDS

LONGEST_URL = 2000
_EXCERPT_BYTES = 1024
_READ_BYTES = 64 * 1024
_SECONDS = 15.0
_MOST_ADDRESSES = 3
_PORTS = 1 << 16

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


async def ask_the_system(host: str, port: int) -> list[str]:
    """The addresses of *host*, in the order the system prefers."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class LiveHooks:
    """Resolves a host once and connects to what it found, so that a name that answers otherwise
    the next time leads nowhere else.

    No proxy of the environment is used, no connection is used twice (it was verified for one
    host, and another may share its address), and a whole call takes fifteen seconds at most.
    """

    def __init__(
        self,
        *,
        allow_private: bool = False,
        allow_plain: bool = False,
        resolve: Resolve = ask_the_system,
        transport: httpx.AsyncBaseTransport | None = None,
        tls: ssl.SSLContext | None = None,
        seconds: float = _SECONDS,
    ) -> None:
        self._allow_private = allow_private
        self._allow_plain = allow_plain
        self._resolve = resolve
        self._seconds = seconds
        self._client = httpx.AsyncClient(
            transport=transport,
            verify=tls or ssl.create_default_context(),
            trust_env=False,
            follow_redirects=False,
            timeout=seconds,
            limits=httpx.Limits(max_keepalive_connections=0),
            headers={"User-Agent": "Aragora-Billing", "Accept-Encoding": "identity"},
        )

    async def close(self) -> None:
        await self._client.aclose()

    def check(self, url: str) -> None:
        self._read(url)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        refuse_inside_unit()
        started_at = time.perf_counter()
        outcome = "unavailable"
        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._post(self._read(url), body, headers)
            outcome = "taken" if answer.is_success else "refused"
            return answer
        except AddressRefused as error:
            raise HookUnavailable(reason=str(error.context["reason"])) from error
        except TimeoutError as error:
            raise HookUnavailable(reason="it took too long") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            raise HookUnavailable(reason=type(error).__name__) from error
        finally:
            GATEWAY_SECONDS.labels("hooks", "post", outcome).observe(
                time.perf_counter() - started_at
            )

    def _read(self, text: str) -> httpx.URL:
        """The address, read by the same parser that will call it."""
        if len(text) > LONGEST_URL or not text.isascii() or not text.isprintable() or " " in text:
            raise AddressRefused(reason="it is too long or has letters that no address has")
        try:
            url = httpx.URL(text)
        except httpx.InvalidURL:
            raise AddressRefused(reason="it is not a URL") from None
        if url.scheme != "https" and not (self._allow_plain and url.scheme == "http"):
            raise AddressRefused(reason="it must begin with https://")
        if not url.host:
            raise AddressRefused(reason="it names no host")
        if url.port is not None and not 0 < url.port < _PORTS:
            raise AddressRefused(reason="it names no port")
        if url.userinfo or url.fragment:
            raise AddressRefused(reason="it must have no user and no fragment")
        if _is_literal(_host(url)) and not self._may_call(_host(url)):
            raise AddressRefused(reason="it is not a public address")
        return url

    def _may_call(self, address: str) -> bool:
        return self._allow_private or is_public(address)

    async def _post(self, url: httpx.URL, body: bytes, headers: Mapping[str, str]) -> Answer:
        host, port = _host(url), url.port or (443 if url.scheme == "https" else 80)
        addresses = [host] if _is_literal(host) else await self._resolve(host, port)
        # All of them must do: a name that points inside as well is not to be trusted at all.
        if not addresses or not all(self._may_call(address) for address in addresses):
            raise AddressRefused(reason="it does not lead to a public address")
        *others, last = addresses[:_MOST_ADDRESSES]
        for address in others:
            try:
                return await self._post_to(address, url, body, headers)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self._post_to(last, url, body, headers)

    async def _post_to(
        self, address: str, url: httpx.URL, body: bytes, headers: Mapping[str, str]
    ) -> Answer:
        request = self._client.build_request(
            "POST",
            url.copy_with(host=address),
            content=body,
            headers={**headers, "Host": url.netloc.decode()},
            extensions={"sni_hostname": _host(url)},
        )
        response = await self._client.send(request, stream=True)
        try:
            return Answer(response.status_code, await _beginning(response))
        finally:
            await response.aclose()


def _host(url: httpx.URL) -> str:
    """The host as the network knows it, which for `münchen.example` is `xn--mnchen-3ya.example`."""
    return url.raw_host.decode()


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


async def _beginning(response: httpx.Response) -> str:
    """The first words. What comes after 64 KiB is not read, nor is anything unpacked."""
    taken = b""
    async for chunk in response.aiter_raw():
        taken += chunk
        if len(taken) >= _READ_BYTES:
            break
    if response.headers.get("content-encoding", "identity") != "identity":
        return ""
    text = taken[:_EXCERPT_BYTES].decode("utf-8", errors="replace")
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()
