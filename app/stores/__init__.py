"""Where sessions are kept. Each module is one technology behind the same port."""
