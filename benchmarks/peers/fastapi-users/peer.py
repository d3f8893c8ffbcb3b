"""fastapi-users with its database strategy: a session check reads token and user from SQLite.

It has no login through Authing and no refresh. `/seed` makes a user and a token without a password.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, FastAPI
from fastapi_users import BaseUserManager, FastAPIUsers, UUIDIDMixin, schemas
from fastapi_users.authentication import AuthenticationBackend, BearerTransport
from fastapi_users.authentication.strategy.db import DatabaseStrategy
from fastapi_users_db_sqlalchemy import SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
from fastapi_users_db_sqlalchemy import access_token as tokens
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

_engine = create_async_engine("sqlite+aiosqlite:///users.db")
_sessions = async_sessionmaker(_engine, expire_on_commit=False)


class _Base(DeclarativeBase): ...


class User(SQLAlchemyBaseUserTableUUID, _Base): ...  # noqa: D101


class AccessToken(tokens.SQLAlchemyBaseAccessTokenTableUUID, _Base): ...  # noqa: D101


class _Users(UUIDIDMixin, BaseUserManager[User, UUID]): ...


@event.listens_for(_engine.sync_engine, "connect")
def _durable(connection: Any, _: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


async def _database() -> AsyncIterator[AsyncSession]:
    async with _sessions() as session:
        yield session


_Session = Annotated[AsyncSession, Depends(_database)]


def _users(session: _Session) -> _Users:
    return _Users(SQLAlchemyUserDatabase(session, User))


def _strategy(session: _Session) -> DatabaseStrategy[User, UUID, AccessToken]:
    return DatabaseStrategy(tokens.SQLAlchemyAccessTokenDatabase(session, AccessToken), 3600)


_backend = AuthenticationBackend("bearer", BearerTransport("login"), _strategy)
_api = FastAPIUsers[User, UUID](_users, [_backend])


@asynccontextmanager
async def _tables(_: FastAPI) -> AsyncIterator[None]:
    async with _engine.begin() as connection:
        await connection.run_sync(_Base.metadata.create_all)
    yield


app = FastAPI(lifespan=_tables)
app.include_router(_api.get_users_router(schemas.BaseUser[UUID], schemas.BaseUserUpdate))


@app.post("/seed")
async def seed(session: _Session) -> dict[str, str]:
    """Make a user and a token."""
    values = {"email": f"{secrets.token_hex(8)}@example.com", "hashed_password": "-"}
    user = await SQLAlchemyUserDatabase(session, User).create(values)
    return {"token": await _strategy(session).write_token(user)}
