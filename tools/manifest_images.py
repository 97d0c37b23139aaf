"""Images: one file per service, two stages, nothing in the second that the first needed to build."""

from __future__ import annotations

from typing import Final

from manifest_table import FILES, GRPC_PORT, UID, WRITTEN, Deployed

PYTHON_IMAGE: Final = "python:3.11-slim-bookworm"
_LIBRARIES: Final = ("contracts", "chassis", "privacy")


def dockerfile(service: Deployed) -> str:
    """Return the file; the context is the root of the checkout."""
    folder = f"services/{service.name}"
    members = [f"libs/{name}" for name in _LIBRARIES]
    installed = " ".join([*(f"./{each}" for each in members), f'"./{folder}{service.size.extra}"'])
    folders = " ".join([FILES, *service.folders()])
    system = ""
    if service.size.system_packages:
        packages = " ".join(service.size.system_packages)
        system = (
            f"RUN apt-get update && apt-get install --yes --no-install-recommends {packages} "
            "&& rm -rf /var/lib/apt/lists/*\n"
        )
    return f"""\
# syntax=docker/dockerfile:1
# {WRITTEN}
# docker build --file deploy/images/{service.name}.Dockerfile --tag {service.image} .

FROM {PYTHON_IMAGE} AS build
WORKDIR /source
COPY requirements.lock ./
COPY tools/uv tools/uv
RUN tools/uv /opt/uv
ENV UV_CONSTRAINT=/source/requirements.lock UV_BUILD_CONSTRAINT=/source/requirements.lock \\
    UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1
COPY deploy/nats deploy/nats
{chr(10).join(f"COPY {each} {each}" for each in members)}
COPY {folder} {folder}
RUN /opt/uv/bin/uv venv /opt/rapport
RUN /opt/uv/bin/uv pip install --python /opt/rapport {installed}

FROM {PYTHON_IMAGE}
{system}RUN install --directory --owner={UID} --group={UID} {folders}
COPY --from=build /opt/rapport /opt/rapport
ENV PATH=/opt/rapport/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# No user of this id exists: it owns nothing, and the root file system may be read-only (/tmp is a volume).
USER {UID}:{UID}
EXPOSE {GRPC_PORT}
STOPSIGNAL SIGTERM
ENTRYPOINT ["/opt/rapport/bin/python", "-m", "{service.module}"]
CMD ["serve"]
"""


IGNORED: Final = """\
# What is not sent to the builder.
**
!requirements.lock
!tools/uv
!deploy/nats
!libs/contracts
!libs/chassis
!libs/privacy
!services
**/__pycache__
**/tests
**/benchmarks
**/.*_cache
"""
"""The same for every image."""
