"""The real supervisor over workers that are stubs, with the settings of the environment.

Several workers on SQLite are refused as settings; the stubs have no store.
"""

import argparse
import sys

from app.commands import supervisor
from app.config import Settings, load_settings

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--python", default=sys.executable)
    given = parser.parse_args()
    sys.executable = given.python
    settings = load_settings(Settings, env_file=None, secrets_dir=None)
    settings = settings.model_copy(update={"workers": given.workers})
    sys.exit(supervisor.run(settings, module="tests.commands.stub_worker"))
