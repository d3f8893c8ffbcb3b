"""HTTP: routes that parse a request, call one method of a service, and build the response."""
