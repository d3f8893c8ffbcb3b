"""Between the socket and the application: only whole, unambiguous requests get through."""
