"""HTTP: routes that parse, call one method of the service, and shape the answer."""
