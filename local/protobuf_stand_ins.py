"""Stand-ins for the protobuf messages that the real host exchanges with Microsoft's runtime: they only keep fields.

The classes come out of the runtime (the index, results); the functions make what goes in.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any


class Message(SimpleNamespace):
    """Stands in for any protobuf message."""


class _BindingInfo(Message):
    out, inout, undefined = 1, 2, 0


setattr(_BindingInfo, "in", 0)  # `in` is a keyword, yet the runtime reads an attribute of that name


class StatusResult(Message):
    """Whether a request to the runtime went well."""

    Success, Failure = 1, 0


class _OneOf(Message):
    """A message with a `oneof`: it names the member that is set."""

    def WhichOneof(self, _: str) -> str | None:  # noqa: N802 protobuf's own name
        member: str | None = self.member
        return member


PROTOS = SimpleNamespace(
    BindingInfo=_BindingInfo,
    StatusResult=StatusResult,
    RpcFunctionMetadata=Message,
    WorkerInitResponse=Message,
    InvocationResponse=Message,
    WorkerMetadata=Message,
    RpcRetryOptions=Message,
    RpcException=Message,
)


def init_request(app_dir: str) -> Any:
    """The WorkerInitRequest of an app."""
    init = Message(capabilities={}, function_app_directory=app_dir)
    return Message(request=Message(worker_init_request=init), properties={"host": "127.0.0.1", "protos": PROTOS})


def http_invocation(
    invocation_id: str,
    function_id: str,
    parameter: str,
    *,
    method: str,
    url: str,
    route: Mapping[str, str],
    traceparent: str,
) -> Any:
    """The InvocationRequest of an HTTP function whose request itself goes to the worker's own server."""
    http = Message(method=method, url=url, headers={}, query={}, params=route, body=_OneOf(member=None))
    data = _OneOf(member="http", http=http)
    return Message(
        request=Message(
            invocation_request=Message(
                invocation_id=invocation_id,
                function_id=function_id,
                input_data=[_OneOf(member="data", name=parameter, data=data)],
                trigger_metadata={},
                trace_context=Message(trace_parent=traceparent, trace_state="", attributes={}),
                retry_context=Message(retry_count=0, max_retry_count=0, exception=None),
            )
        )
    )
