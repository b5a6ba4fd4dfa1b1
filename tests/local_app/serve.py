"""Run the tiny app on the real host, with lanes of its own: `python tests/local_app/serve.py <data> <port>`."""

import importlib
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from local import __main__ as command  # noqa: E402
from local import log  # noqa: E402
from local.host import Host  # noqa: E402
from shared.adapters.embedded.command_bus import SqliteCommandBus  # noqa: E402
from shared.adapters.embedded.event_publisher import SqliteEventPublisher  # noqa: E402
from shared.adapters.embedded.lanes import SqliteLanes  # noqa: E402
from shared.contracts.lanes import Lane  # noqa: E402

LANES = {
    "orders": Lane("orders", sessions=True),
    "poison": Lane("poison", sessions=False, max_delivery_count=3),
    "noop": Lane("noop", sessions=True),
}


class AppHost(Host):
    """Puts the senders into the app once it has been imported, as `shared.bootstrap` would build them itself."""

    async def start(self) -> None:
        await super().start()
        function_app = importlib.import_module("function_app")
        function_app.SENDER["bus"] = SqliteCommandBus(self._lanes)
        function_app.SENDER["events"] = SqliteEventPublisher(self._lanes)

    async def stop(self, *, grace_seconds: float = 1.0) -> None:
        await super().stop(grace_seconds=grace_seconds)
        if grace_seconds:
            await self._lanes.close()


def main() -> None:
    data, port = Path(sys.argv[1]), int(sys.argv[2])
    log.set_up()
    data.mkdir(parents=True, exist_ok=True)
    lanes = SqliteLanes(data / "lanes.db", lanes=LANES)
    command.leave(command.run(AppHost(HERE, data, port, lanes=lanes)))


if __name__ == "__main__":
    main()
