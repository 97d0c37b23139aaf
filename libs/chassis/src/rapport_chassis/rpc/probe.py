"""`python -m rapport_chassis.rpc.probe NAME`: a container's probe over mutual TLS, which kubelets cannot speak.

Exits with 0 where the process in the same container says that NAME (`liveness`, a role, a service) is serving. It shows
the certificate that the process itself serves with, and loads nothing but gRPC: a probe costs 0.2 s of CPU.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask once and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m rapport_chassis.rpc.probe", description=__doc__)
    parser.add_argument("name", help="liveness, api, events, relay, or a service by its full name")
    parser.add_argument("--address", default="127.0.0.1:50051")
    parser.add_argument("--tls", type=Path, default=Path("/etc/rapport/tls"), help="folder of tls.crt, tls.key, ca.crt")
    parser.add_argument("--server-name", help="name in the server's certificate, if it is not that of the address")
    parser.add_argument("--timeout", type=float, default=2.0)
    options = parser.parse_args(arguments)
    credentials = grpc.ssl_channel_credentials(
        *((options.tls / file).read_bytes() for file in ("ca.crt", "tls.key", "tls.crt"))
    )
    named = [("grpc.ssl_target_name_override", options.server_name)] if options.server_name else []
    unrecorded = (("traceparent", f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"),)
    with grpc.secure_channel(options.address, credentials, named) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check  # type: ignore[no-untyped-call]
        request = health_pb2.HealthCheckRequest(service=options.name)
        try:
            answer = check(request, timeout=options.timeout, metadata=unrecorded)
        except grpc.RpcError as error:
            sys.stderr.write(f"{options.name}: {error.code().name}\n")
            return 1
    serving = answer.status == health_pb2.HealthCheckResponse.SERVING
    sys.stderr.write("" if serving else f"{options.name}: not serving\n")
    return 0 if serving else 1


if __name__ == "__main__":
    sys.exit(main())
