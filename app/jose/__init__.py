"""Keys and signed tokens: JSON, base64url, JWS and JWK as the RFCs define them. Pure."""
