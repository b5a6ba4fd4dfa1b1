"""The entry script: registers the triggers. Nothing is wired here; `shared.bootstrap` builds on first use."""

import azure.functions as func

from functions import BLUEPRINTS

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)  # every function authenticates: functions/caller.py
for blueprint in BLUEPRINTS:
    app.register_functions(blueprint)
