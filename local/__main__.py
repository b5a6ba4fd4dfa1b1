"""`python -m local serve`: the function app on this machine, without a cloud account."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from pathlib import Path

from local import log
from local.host import DEFAULT_PORT, Host
from local.runtime import Runtime
from local.stdin_end import stop_with_stdin
from local.surroundings import settle_heap
from shared.errors import CountersignError

logger = logging.getLogger("countersign.local")

STUCK_SECONDS = 3.0


async def serve(host: Host, *, until_stdin_closes: bool = False) -> None:
    """Until SIGINT or SIGTERM. One line on stdout says where; nothing else is printed there.

    until_stdin_closes: whoever started us holds the other end of stdin, and we do not outlive it, however it ends.
    """
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    if until_stdin_closes:
        stop_with_stdin(stopping)
    await host.start()
    settle_heap()
    try:
        _tell(host)
        await stopping.wait()
    finally:
        await host.stop()


def _tell(host: Host) -> None:
    line = {
        "level": "info",
        "message": "listening",
        "url": f"http://127.0.0.1:{host.port}",
        "functions": host.functions,
        "bank": host.bank_url,
        "amqp": f"sb://localhost:{host.amqp_port}" if host.amqp_port is not None else "",
    }
    try:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        logger.warning("listening at %s, but whoever was to hear of it on stdout is gone", line["url"])


def run(host: Host, *, until_stdin_closes: bool = False) -> int:
    """Serve; the process's exit code."""
    try:
        asyncio.run(serve(host, until_stdin_closes=until_stdin_closes))
    except CountersignError as error:
        sys.stderr.write(f"countersign: {error}\n")
        return 1
    return 0


def leave(code: int) -> None:
    """Exit, also when a function in a thread never ends: nothing durable waits for it."""
    signal.signal(signal.SIGALRM, lambda *_: os._exit(code))
    signal.setitimer(signal.ITIMER_REAL, STUCK_SECONDS)
    if "azure_functions_runtime" in sys.modules:
        Runtime.stop()
    sys.exit(code)


def _port(told: str) -> int:
    if not told.isdecimal() or int(told) > 65_535:
        raise argparse.ArgumentTypeError(f"{told!r} is no port: 0 to 65535")
    return int(told)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("serve", help="run the function app on this machine")
    command.add_argument("--port", type=_port, default=DEFAULT_PORT, help="0 takes a free one (default: %(default)s)")
    command.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get("COUNTERSIGN_DATA", ".countersign")),
        help="data folder (default: %(default)s, from COUNTERSIGN_DATA)",
    )
    command.add_argument("--app-dir", type=Path, default=Path.cwd(), help="folder of function_app.py and host.json")
    command.add_argument("--amqp", action="store_true", help="take messages from Service Bus SDKs too (AMQP 1.0)")
    command.add_argument("--amqp-port", type=_port, default=5672, help="0 takes a free one (default: %(default)s)")
    command.add_argument(
        "--amqp-receive", action="store_true", help="let AMQP clients also take messages, which the app then misses"
    )
    command.add_argument("--until-stdin-closes", action="store_true", help="stop when the process that started it ends")
    commands.add_parser("run", help="the main job on a sample statement, or on your own file (run --help)")
    commands.add_parser("chaos", help="kill -9 at random moments, and check that nothing was lost (chaos --help)")
    commands.add_parser("verify", help="check every audit chain of a data folder (verify --help)")
    return parser.parse_args()


def main() -> None:
    """Parse the command line; serve, or run the main job."""
    if sys.argv[1:2] == ["run"]:
        from local import main_job  # rich and the CSV reader are nothing that a server needs

        sys.exit(main_job.main(sys.argv[2:]))
    if sys.argv[1:2] == ["verify"]:
        from local import verify

        sys.exit(verify.main(sys.argv[2:]))
    if sys.argv[1:2] == ["chaos"]:
        from local import chaos

        sys.exit(chaos.main(sys.argv[2:]))
    options = _options()
    log.set_up()
    host = Host(
        options.app_dir,
        options.data,
        options.port,
        amqp_port=options.amqp_port if options.amqp else None,
        amqp_receive=options.amqp_receive,
    )
    leave(run(host, until_stdin_closes=options.until_stdin_closes))


if __name__ == "__main__":
    main()
