"""Rate limits: how often an address may log in and a session be refreshed."""
