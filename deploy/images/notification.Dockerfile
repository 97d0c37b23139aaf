# syntax=docker/dockerfile:1
# Written by tools/manifests.py from tools/manifest_table.py: change it there.
# docker build --file deploy/images/notification.Dockerfile --tag rapport-notification .

FROM python:3.11-slim-bookworm AS build
WORKDIR /source
COPY requirements.lock ./
COPY tools/uv tools/uv
RUN tools/uv /opt/uv
ENV UV_CONSTRAINT=/source/requirements.lock UV_BUILD_CONSTRAINT=/source/requirements.lock \
    UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1
COPY deploy/nats deploy/nats
COPY libs/contracts libs/contracts
COPY libs/chassis libs/chassis
COPY libs/privacy libs/privacy
COPY services/notification services/notification
RUN /opt/uv/bin/uv venv /opt/rapport
RUN /opt/uv/bin/uv pip install --python /opt/rapport ./libs/contracts ./libs/chassis ./libs/privacy "./services/notification"

FROM python:3.11-slim-bookworm
RUN install --directory --owner=10001 --group=10001 /var/lib/rapport /var/lib/rapport/keys /var/lib/rapport/signing
COPY --from=build /opt/rapport /opt/rapport
ENV PATH=/opt/rapport/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# No user of this id exists: it owns nothing, and the root file system may be read-only (/tmp is a volume).
USER 10001:10001
EXPOSE 50051
STOPSIGNAL SIGTERM
ENTRYPOINT ["/opt/rapport/bin/python", "-m", "rapport_notification"]
CMD ["serve"]
