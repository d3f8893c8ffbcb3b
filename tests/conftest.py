"""Fixtures that tests of several folders share."""

pytest_plugins = ["tests.support.running_app", "tests.support.valkey.fixtures"]
