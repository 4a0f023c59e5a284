# syntax=docker/dockerfile:1
# One image for every stage. It was never built where this project is tested: there is no engine there. What is tested
# is deploy/install.sh, which does the work, and this file's form (docs/deploy.md).
# The digest could not be looked up either: pin it after the first pull (docs/deploy.md says how).
FROM python:3.11.14-slim-bookworm AS install

WORKDIR /src
COPY . .
RUN deploy/install.sh /opt/lading

FROM python:3.11.14-slim-bookworm

ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Lading" \
      org.opencontainers.image.description="Evidence from a signed sensor reading to a settled payment" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="docker.io/library/python:3.11.14-slim-bookworm"

# A named volume takes owner and mode from the folder that it is mounted over.
RUN groupadd --gid 10001 lading \
 && useradd --uid 10001 --gid lading --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin lading \
 && for part in shared operator edge ingest archive anomaly anchoring settle series chain broker certs view; do \
      install -d -m 0750 -o lading -g lading "/var/lib/lading/$part"; \
    done \
 && chown lading:lading /var/lib/lading

COPY --from=install /opt/lading /opt/lading
COPY --chmod=0555 deploy/entrypoint.sh /usr/local/bin/lading
COPY --chmod=0555 deploy/keys.sh /usr/local/bin/lading-keys

ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    NUMBA_CACHE_DIR=/tmp/numba \
    HOME=/tmp
WORKDIR /etc/lading
USER 10001:10001
ENTRYPOINT ["lading"]
CMD ["--help"]

# Each stage answers on its metrics_port; LADING_READY names it. One-shot commands have none and end before it matters.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
  CMD ["/opt/lading/bin/python", "-c", "import os, urllib.request as r; r.urlopen(os.environ['LADING_READY'], timeout=4)"]
