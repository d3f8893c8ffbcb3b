"""Apps that make one mistake each, with the scenario and the findings that name it."""

import asyncio
import time
from typing import Any

import httpx
from typing_extensions import override

from tests.sandbox.graded_app import CURRENT, NO_ANSWER, REFRESH, GoodApp, problem_of


def app_with(**members: Any) -> type[GoodApp]:
    """An app that differs from the good one in these members."""
    return type("BadApp", (GoodApp,), members)


async def forget_only(app: GoodApp) -> None:
    app.forget()


SendsNoKey = app_with(new_key=lambda _app: "")
UsesOneKeyForAll = app_with(new_key=lambda _app: "one-key-for-everything")
NeverRetries = app_with(attempts=1)
DoesNotWait = app_with(wait=lambda *_: asyncio.sleep(0))
NeverTimesOut = app_with(timeout=60)
IgnoresA401 = app_with(asks_for_refresh=lambda *_: False)
KeepsTokensOfAnEndedSession = app_with(learn=lambda *_: None)
KeepsTokensAfterLogOut = app_with(
    log_out=lambda app: app.send("DELETE", CURRENT, token=app.access_token())
)
LogsOutInSilence = app_with(log_out=forget_only)
WaitsForA401 = app_with(is_due=lambda _app: False)
DamagesTheTicket = app_with(sign_in=lambda app, text: GoodApp.sign_in(app, text + "x"))
SendsAnotherScheme = app_with(call=lambda app, token: GoodApp.call(app, f"Bearer {token}"))
ProvesAnotherPath = app_with(proof=lambda app, path: GoodApp.proof(app, path + "/"))
RefreshesTwice = app_with(
    refresh_now=lambda app: asyncio.gather(GoodApp.refresh_now(app), GoodApp.refresh_now(app))
)


class MakesANewKeyForARetry(GoodApp):
    @override
    async def send_once(self, *request: Any, **_: Any) -> httpx.Response:
        method, path, body, key, token = request
        return await super().send_once(method, path, body, key and self.new_key(), token)


class LogsInAgainWithARefusedTicket(GoodApp):
    @override
    def is_temporary(self, response: httpx.Response) -> bool:
        refused = problem_of(response).get("code") == "ticket_rejected"
        return refused or super().is_temporary(response)


class CutsItsRefreshToken(GoodApp):
    @override
    def keep(self, response: httpx.Response) -> None:
        super().keep(response)
        self.storage.tokens["refresh_token"] = self.storage.tokens["refresh_token"][:-1]


class KeepsTheKeyInMemory(GoodApp):
    @override
    async def refresh_now(self) -> None:
        self.storage.key = self.__dict__.setdefault("key_of_" + self.access_token(), self.new_key())
        await super().refresh_now()


class RefreshesForEachCall(GoodApp):
    """It has no single flight."""

    @override
    async def refresh(self, used: str | None = None) -> None:
        if self.storage.tokens:
            await self.refresh_now()


class KeepsItsFirstRefreshToken(GoodApp):
    @override
    def keep(self, response: httpx.Response) -> None:
        first = self.storage.tokens.get("refresh_token")
        super().keep(response)
        self.storage.tokens |= {"refresh_token": first} if first else {}


class RepeatsACallWithTheOldToken(GoodApp):
    @override
    async def call_api(self) -> None:
        used = self.access_token()
        response = await self.call(used)
        if self.asks_for_refresh(response):
            await self.refresh(used)
            response = await self.call(used)
        self.learn(response)


class RefreshesAfterA503(GoodApp):
    @override
    async def call(self, access_token: str) -> httpx.Response:
        response = await self.send_once("GET", "/v1/me", None, "", access_token)
        if response.status_code == 503:
            await self.refresh()
            return await super().call(self.access_token())
        return response


class RefreshesUntilTheCallSucceeds(GoodApp):
    @override
    async def call_api(self) -> None:
        for _ in range(4):
            response = await self.call(self.access_token())
            if not self.asks_for_refresh(response):
                break
            await self.refresh()


class DropsTokensAfterAnyFailedRefresh(GoodApp):
    attempts = 1

    @override
    async def refresh_now(self) -> None:
        before = self.access_token()
        await super().refresh_now()
        if self.access_token() == before:
            self.forget()


class ForgetsTheOldTokenBeforeItHasANewOne(GoodApp):
    @override
    async def refresh_now(self) -> None:
        tokens, self.storage.tokens = self.storage.tokens, {}
        body = {"refresh_token": tokens["refresh_token"]}
        response = await self.send("POST", REFRESH, body, key=self.storage.key)
        if response.status_code == 200:
            self.keep(response)


class BelievesTheClockOfThePhone(GoodApp):
    @override
    def is_due(self) -> bool:
        tokens = self.storage.tokens
        return bool(tokens) and tokens["server_time"] + tokens["expires_in"] < time.time()


class SendsOneProofTwice(GoodApp):
    @override
    def proof(self, path: str) -> str | None:
        proof: str | None = self.__dict__.setdefault(
            path + self.storage.device.nonce, super().proof(path)
        )
        return proof


class IgnoresNonces(GoodApp):
    @override
    async def send_once(self, *request: Any, **_: Any) -> httpx.Response:
        response = await super().send_once(*request)
        self.storage.device.nonce = ""
        return NO_ANSWER if problem_of(response).get("error") == "use_dpop_nonce" else response


BAD_APPS: list[tuple[type[GoodApp], str, set[str]]] = [
    (SendsNoKey, "lost_refresh_answer", {"no_idempotency_key"}),
    (MakesANewKeyForARetry, "lost_login_answer", {"new_key_on_retry"}),
    (MakesANewKeyForARetry, "lost_refresh_answer", {"new_key_on_retry"}),
    (UsesOneKeyForAll, "lost_refresh_answer", {"key_used_twice"}),
    (NeverRetries, "lost_login_answer", {"gave_up"}),
    (NeverRetries, "api_503", {"gave_up"}),
    (NeverRetries, "lost_refresh_answer", {"gave_up"}),
    (DoesNotWait, "refresh_429", {"ignored_retry_after"}),
    (DoesNotWait, "authing_down_at_login", {"ignored_retry_after"}),
    (DamagesTheTicket, "wrong_clock", {"bad_request"}),
    (CutsItsRefreshToken, "refresh_429", {"bad_request"}),
    (SendsAnotherScheme, "access_token_expired", {"bad_request"}),
    (KeepsTheKeyInMemory, "killed_before_storing", {"new_key_on_retry"}),
    (NeverTimesOut, "slow_refresh_answer", {"no_timeout"}),
    (LogsInAgainWithARefusedTicket, "ticket_refused", {"ignored_client_action"}),
    (RefreshesForEachCall, "calls_at_once", {"double_refresh", "old_access_token"}),
    (RefreshesTwice, "access_token_expired", {"double_refresh"}),
    (KeepsItsFirstRefreshToken, "lost_refresh_answer", {"new_key_on_retry", "old_refresh_token"}),
    (RepeatsACallWithTheOldToken, "access_token_expired", {"old_access_token"}),
    (RefreshesAfterA503, "api_503", {"refresh_on_service_error"}),
    (RefreshesUntilTheCallSucceeds, "refused_after_refresh", {"needless_refresh", "refresh_loop"}),
    (IgnoresA401, "access_token_expired", {"ignored_client_action"}),
    (DropsTokensAfterAnyFailedRefresh, "refresh_502_of_a_proxy", {"tokens_dropped", "gave_up"}),
    (ForgetsTheOldTokenBeforeItHasANewOne, "killed_before_storing", {"tokens_dropped"}),
    (KeepsTokensOfAnEndedSession, "session_replaced", {"sent_tokens_after_end"}),
    (KeepsTokensOfAnEndedSession, "user_banned", {"sent_tokens_after_end"}),
    (KeepsTokensOfAnEndedSession, "session_revoked", {"sent_tokens_after_end"}),
    (KeepsTokensAfterLogOut, "log_out_without_network", {"sent_tokens_after_log_out"}),
    (LogsOutInSilence, "log_out_without_network", {"no_log_out"}),
    (BelievesTheClockOfThePhone, "wrong_clock", {"needless_refresh"}),
    (WaitsForA401, "wrong_clock", {"no_refresh_when_due"}),
    (SendsOneProofTwice, "lost_refresh_answer", {"proof_repeated", "bad_request"}),
    (ProvesAnotherPath, "lost_refresh_answer", {"bad_request"}),
    (IgnoresNonces, "proof_nonce_changed", {"gave_up", "ignored_nonce"}),
]
