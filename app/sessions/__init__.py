"""The core: what a session is and what it promises. Pure: no framework, no I/O."""
