"""The HTTP api: `uvicorn chat.app:app`."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import psycopg
import psycopg_pool
import redis
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from pydantic import BaseModel, Field, TypeAdapter

from chat.auth import NOBODY, SESSION_SECONDS, Sessions, password_matches
from chat.backends import WAKE_WORKER, Database, open_database, open_redis, rows
from chat.cache import ConversationCache

COOKIE = "session"
COMMIT_FILE = Path(__file__).with_name("COMMIT")  # written when the image is built
COMMIT = COMMIT_FILE.read_text().strip() if COMMIT_FILE.exists() else "unknown"

log = logging.getLogger("uvicorn.error")


class Login(BaseModel):
    user: str
    password: str


class NewConversation(BaseModel):
    title: str | None = Field(None, min_length=1, max_length=100)


class Conversation(BaseModel):
    id: int
    title: str
    messages: int
    created_at: datetime


class NewMessage(BaseModel):
    body: str = Field(min_length=1, max_length=4000)


class Message(BaseModel):
    id: int
    author: Literal["user", "worker"]
    body: str
    created_at: datetime


class State:
    """What the requests share."""

    def __init__(self) -> None:
        self.database: Database = open_database()
        self.redis = open_redis()
        self.sessions = Sessions(self.redis)
        self.cache = ConversationCache(self.redis)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    state = app.state.shared = State()
    yield
    state.database.close()
    state.redis.close()


app = FastAPI(title="chat", lifespan=lifespan)


def shared(request: Request) -> State:
    state: State = request.app.state.shared
    return state


def session_token(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else request.cookies.get(COOKIE, "")


Shared = Annotated[State, Depends(shared)]
Token = Annotated[str, Depends(session_token)]


def logged_in(state: Shared, token: Token) -> int:
    user_id = state.sessions.user_id(token) if token else None
    if user_id is None:
        raise HTTPException(401, "not logged in")
    return user_id


UserId = Annotated[int, Depends(logged_in)]


def own_conversation(conversation_id: int, state: Shared, user_id: UserId) -> int:
    if not rows(state.database, "SELECT 1 FROM conversations WHERE id = %s AND user_id = %s", conversation_id, user_id):
        raise HTTPException(404, "no such conversation")
    return conversation_id


OwnConversation = Annotated[int, Depends(own_conversation)]


@app.get("/api/version")
def version() -> dict[str, str]:
    return {"service": "api", "commit": COMMIT}


@app.get("/api/health")
def health(state: Shared, response: Response) -> dict[str, str]:
    parts = {"database": "ok", "redis": "ok"}
    try:
        with state.database.connection(timeout=2) as connection:
            connection.execute("SELECT 1")
    except (psycopg.Error, psycopg_pool.PoolTimeout) as error:
        log.warning("health: database: %s", error)
        parts["database"] = "down"
    try:
        state.redis.ping()
    except redis.RedisError as error:
        log.warning("health: redis: %s", error)
        parts["redis"] = "down"
    healthy = all(part == "ok" for part in parts.values())
    response.status_code = 200 if healthy else 503
    return {"status": "ok" if healthy else "down", **parts}


@app.post("/api/login")
def login(credentials: Login, request: Request, response: Response, state: Shared) -> dict[str, str]:
    found = rows(state.database, "SELECT id, password_hash FROM users WHERE name = %s", credentials.user)
    matches = password_matches(credentials.password, found[0]["password_hash"] if found else NOBODY)
    if not (found and matches):
        raise HTTPException(401, "wrong name or password")
    token = state.sessions.start(found[0]["id"])
    https = request.url.scheme == "https"
    response.set_cookie(COOKIE, token, max_age=SESSION_SECONDS, httponly=True, samesite="lax", secure=https)
    return {"token": token}


@app.post("/api/logout", status_code=204)
def logout(response: Response, state: Shared, token: Token) -> None:
    if token:
        state.sessions.end(token)
    response.delete_cookie(COOKIE)


@app.get("/api/conversations", response_model=list[Conversation])
def conversations(state: Shared, user_id: UserId) -> Response:
    def load() -> str:
        found = rows(
            state.database,
            """
            SELECT c.id, c.created_at, count(m.id) AS messages,
                   coalesce(c.title, left((array_agg(m.body ORDER BY m.id))[1], 60), 'New conversation') AS title
            FROM conversations c LEFT JOIN messages m ON m.conversation_id = c.id
            WHERE c.user_id = %s
            GROUP BY c.id
            ORDER BY coalesce(max(m.created_at), c.created_at) DESC, c.id DESC
            """,
            user_id,
        )
        history = TypeAdapter(list[Conversation])
        return history.dump_json(history.validate_python(found)).decode()

    return Response(state.cache.get(user_id, load), media_type="application/json")


@app.post("/api/conversations", status_code=201)
def create_conversation(state: Shared, user_id: UserId, new: NewConversation | None = None) -> dict[str, int]:
    title = new.title if new else None
    created = rows(
        state.database, "INSERT INTO conversations (user_id, title) VALUES (%s, %s) RETURNING id", user_id, title
    )
    state.cache.invalidate(user_id)
    return {"id": created[0]["id"]}


@app.get("/api/conversations/{conversation_id}/messages", response_model=list[Message])
def messages(state: Shared, conversation_id: OwnConversation) -> object:
    return rows(
        state.database,
        "SELECT id, author, body, created_at FROM messages WHERE conversation_id = %s ORDER BY id",
        conversation_id,
    )


@app.post("/api/conversations/{conversation_id}/messages", status_code=201)
def send_message(state: Shared, user_id: UserId, conversation_id: OwnConversation, new: NewMessage) -> Message:
    sent = rows(
        state.database,
        "INSERT INTO messages (conversation_id, author, body) VALUES (%s, 'user', %s)"
        " RETURNING id, author, body, created_at",
        conversation_id,
        new.body,
    )
    state.cache.invalidate(user_id)
    state.redis.lpush(WAKE_WORKER, sent[0]["id"])
    return Message.model_validate(sent[0])
