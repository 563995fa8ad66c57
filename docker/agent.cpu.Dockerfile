# The agent for any machine with a CPU, measured through ONNX Runtime.
#
# The default image holds no jetson-stats (AGPL-3.0). With JETSON_STATS_VERSION set its client is
# installed, which the simulated Jetson of docker-compose.yml needs.
ARG BASE_IMAGE=python:3.11-slim
FROM ${BASE_IMAGE}

LABEL org.opencontainers.image.title="gdws-agent (CPU)" \
      org.opencontainers.image.description="Checks parity, measures latency and power, reports over REST" \
      org.opencontainers.image.licenses="Apache-2.0"

RUN useradd --system --uid 10001 --user-group --create-home --home-dir /var/lib/gdws-agent gdws

# The pins of JetPack 6 are those of Python 3.10 and serve 3.11 as well.
ARG CONSTRAINTS=jetpack6.txt
ARG EXTRAS=onnxruntime
ARG INSTALL="python3 /opt/gdws-setup/install_agent.py --prefix /opt/gdws --constraints /opt/gdws-setup/constraints.txt"
# Dependencies first: this layer is built anew only when the pins or the metadata change.
COPY docker/install_agent.py /opt/gdws-setup/
COPY device/constraints/${CONSTRAINTS} /opt/gdws-setup/constraints.txt
COPY device/pyproject.toml /opt/gdws-setup/device/
RUN ${INSTALL} "/opt/gdws-setup/device[${EXTRAS}]"

ARG JETSON_STATS_VERSION=
RUN if [ -n "${JETSON_STATS_VERSION}" ]; then ${INSTALL} "jetson-stats==${JETSON_STATS_VERSION}"; fi

COPY docker/entrypoint.py /opt/gdws-setup/
COPY device/gdws_contract /opt/gdws-setup/device/gdws_contract
COPY device/gdws_agent /opt/gdws-setup/device/gdws_agent
RUN ${INSTALL} --alone /opt/gdws-setup/device

ENV PATH=/opt/gdws/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    GDWS_AGENT_HOST=0.0.0.0 \
    GDWS_AGENT_PORT=8000 \
    GDWS_AGENT_DATA_DIR=/var/lib/gdws-agent/data
USER gdws
WORKDIR /var/lib/gdws-agent
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["/opt/gdws/bin/python3", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['GDWS_AGENT_PORT'] + '/healthz', timeout=4)"]
ENTRYPOINT ["/opt/gdws/bin/python3", "/opt/gdws-setup/entrypoint.py"]
