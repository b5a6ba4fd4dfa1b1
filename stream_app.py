"""The second entry script: what is streamed while it happens. On Azure it is an app of its own from the same code
(`PYTHON_SCRIPT_FILE_NAME=stream_app.py`), because HTTP v2 changes every HTTP function of an app and slows its start.
"""

import azure.functions as func

from functions import stream_agui, stream_chat, stream_conversation

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)  # every function authenticates: functions/caller.py
for blueprint in (stream_chat.blueprint, stream_agui.blueprint, stream_conversation.blueprint):
    app.register_functions(blueprint)
