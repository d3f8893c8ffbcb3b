"""The HTTP server: uvicorn with a drain, strict framing, deadlines and a connection limit."""
