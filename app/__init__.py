"""Ticketgate: turns a ticket of Authing's mini-program login into a session of the app's own."""

__version__ = "0.1.0"
