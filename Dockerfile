# The service and what it imports: no pip, no compiler, not root, and no file written outside /data.
# deploy/README.md tells how to run it, deploy/verify-image proves it.
#
# The base is pinned by its digest: python:3.13-slim of September 2026 (3.13.15 on Debian trixie). The tag
# moves with security patches; deploy/README.md says how to follow it.
ARG PYTHON_IMAGE=python:3.13-slim@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b

FROM ${PYTHON_IMAGE} AS build
WORKDIR /srv
# "tracing" adds OpenTelemetry: docs/tracing.md.
ARG REQUIREMENTS=runtime
COPY requirements/runtime.txt requirements/tracing.txt requirements/
# Only wheels: no code of a dependency runs during the build, and no compiler is needed.
RUN python -m venv --without-pip venv \
 && python -m pip --python venv/bin/python install --no-cache-dir --no-compile \
        --only-binary :all: --require-hashes --requirement "requirements/${REQUIREMENTS}.txt"
COPY app app
# Bytecode is made here, because the root is read-only later; "unchecked": the sources never change.
RUN venv/bin/python -m compileall -q --invalidation-mode unchecked-hash venv/lib app

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="ticketgate" \
      org.opencontainers.image.description="Turns a ticket of Authing's mini-program login into the app's own session" \
      org.opencontainers.image.licenses="MIT"
WORKDIR /srv
# What could install more goes. The base ships no bytecode; with it, a start takes half as long.
RUN rm -rf /usr/local/bin/pip* \
        /usr/local/lib/python3*/ensurepip /usr/local/lib/python3*/site-packages/* \
 && python -m compileall -q --invalidation-mode unchecked-hash -x /test/ /usr/local/lib/python3*
# A new named volume takes over owner and mode of the folder that it is mounted on. The link lets the
# default STORE_URL, which is relative, end in the volume. An ENV would do so too, but also win over a
# STORE_URL that comes as a secret file, because there is a password in it.
RUN mkdir -m 0700 /data /run/keys && chown 10001:10001 /data /run/keys && ln -s /data data
COPY LICENSE .
COPY --from=build /srv/venv venv
COPY --from=build /srv/app app
ENV PATH=/srv/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOST=0.0.0.0 \
    SESSION_KEYS_FILE=/run/keys/keys.json
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
# /livez, not /readyz: what acts on an unhealthy container (Swarm, restarters) replaces it, and that
# mends no store. It answers only after keys and store were opened, so "healthy" also means started.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["python", "-ISc", "\
import http.client, os; \
gate = http.client.HTTPConnection(os.environ['HOST'], int(os.environ.get('PORT', 8000)), timeout=2); \
gate.request('GET', '/livez'); \
raise SystemExit(gate.getresponse().status != 200)"]
ENTRYPOINT ["python", "-m", "app"]
CMD ["serve"]
