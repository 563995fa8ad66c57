# The agent for a Jetson. Builds on any aarch64 machine: neither a GPU nor CUDA is needed to build.
#
#   JetPack 5.1   (L4T r35)   the defaults
#   JetPack 6.1+  (L4T r36.4) BASE_IMAGE=dustynv/l4t-pytorch:r36.4.0  CONSTRAINTS=jetpack6.txt
#   JetPack 7     (L4T r38+)  a base with TensorRT, torch and pycuda under Python 3.12, CONSTRAINTS=jetpack7.txt
#
# JETSON_STATS_VERSION must be the host's (`jtop --version`), at least in its first two numbers.
ARG BASE_IMAGE=dustynv/l4t-pytorch:r35.4.1
FROM ${BASE_IMAGE}

LABEL org.opencontainers.image.title="gdws-agent (Jetson)" \
      org.opencontainers.image.description="Builds engines, checks parity, measures latency and power, reports over REST" \
      org.opencontainers.image.licenses="Apache-2.0"

# Device nodes of a Jetson belong to the group video, number 44 on every Debian and Ubuntu.
RUN getent group video >/dev/null || groupadd --gid 44 video; \
    useradd --system --uid 10001 --user-group --groups video --create-home --home-dir /var/lib/gdws-agent gdws

# L4T images name a package index that has come and gone; empty values stand for pip's own default.
ARG PACKAGE_INDEX=
ENV PIP_INDEX_URL=${PACKAGE_INDEX} \
    PIP_EXTRA_INDEX_URL= \
    PIP_TRUSTED_HOST=

ARG CONSTRAINTS=jetpack5.txt
# For a base without torch: onnxruntime alone, or pip would bring a torch that was not built for the board.
ARG EXTRAS=onnxruntime,torch2trt
ARG INSTALL="python3 /opt/gdws-setup/install_agent.py --prefix /opt/gdws --constraints /opt/gdws-setup/constraints.txt"
# Dependencies first: this layer is built anew only when the pins or the metadata change.
COPY docker/install_agent.py /opt/gdws-setup/
COPY device/constraints/${CONSTRAINTS} /opt/gdws-setup/constraints.txt
COPY device/pyproject.toml /opt/gdws-setup/device/
RUN ${INSTALL} "/opt/gdws-setup/device[${EXTRAS}]"

ARG JETSON_STATS_VERSION=7.2.2
RUN ${INSTALL} "jetson-stats==${JETSON_STATS_VERSION}"

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
