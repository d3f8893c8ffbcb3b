"""Long proofs of the session's promises, over real processes and sockets. See README.md here."""
