"""Authing's Python SDK behind FastAPI: exchanges a ticket and verifies the token.

It stores nothing, has no session of its own and no retry. The SDK is synchronous, so FastAPI runs
the route in its thread pool.
"""

import os
from typing import Any

import jwt
from authing import AuthenticationClient
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

_SECRET = os.environ["POOL_SECRET"]
_authing = AuthenticationClient(
    app_id=os.environ["POOL_ID"], app_host=os.environ["UPSTREAM"], app_secret=_SECRET
)
app = FastAPI()


class Login(BaseModel):
    """The ticket that the app got."""

    ticket: str


@app.post("/login", status_code=201)
def login(given: Login) -> dict[str, Any]:
    """Exchange the ticket for Authing's tokens."""
    result = _authing.exchange_token_set_with_qr_code_ticket(
        given.ticket, client_id=os.environ["POOL_ID"], client_secret=_SECRET
    )
    if result["statusCode"] != 200:  # noqa: PLR2004  # Authing's word for success
        raise HTTPException(401)
    claims = jwt.decode(result["data"]["id_token"], _SECRET, algorithms=["HS256"])
    return {"user": claims["data"]["id"], **result["data"]}
