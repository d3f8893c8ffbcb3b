"""Flask with flask-jwt-extended: refresh and check by signature only.

It stores nothing: a refresh token is not rotated and cannot be revoked. No login through Authing.
"""

import secrets

from flask import Flask
from flask_jwt_extended import (
    JWTManager,
    create_access_token,
    create_refresh_token,
    get_jwt_identity,
    jwt_required,
)

app = Flask(__name__)
app.config["JWT_SECRET_KEY"] = secrets.token_hex(32)
JWTManager(app)


@app.post("/seed")
def seed() -> dict[str, str]:
    """Make the two tokens of a user."""
    user = secrets.token_hex(8)
    return {"refresh": create_refresh_token(user), "access": create_access_token(user)}


@app.post("/refresh")
@jwt_required(refresh=True)
def refresh() -> dict[str, str]:
    """Issue an access token."""
    return {"access": create_access_token(get_jwt_identity())}


@app.get("/me")
@jwt_required()
def me() -> dict[str, str]:
    """Show the user of an access token."""
    return {"id": get_jwt_identity()}
