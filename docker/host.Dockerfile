# The workstation's side: convert, evaluate, pack, benchmark, report.
#
#   docker build -f docker/host.Dockerfile -t gdws .
#   docker run --rm -v "$PWD:/work" -v /path/to/datasets:/data --user "$(id -u):$(id -g)" gdws --help
#
# On x86-64 the package index's torch brings CUDA, several GB; TORCH_INDEX_URL names an index with another build.
ARG BASE_IMAGE=python:3.11-slim
FROM ${BASE_IMAGE}

LABEL org.opencontainers.image.title="gdws" \
      org.opencontainers.image.description="Turns pretrained CNNs into GDWS networks and proves them on the device" \
      org.opencontainers.image.licenses="Apache-2.0"

RUN useradd --uid 10001 --user-group --create-home gdws && python3 -m venv /opt/gdws
ENV PATH=/opt/gdws/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    GDWS_DATA_ROOT=/data

ARG TORCH_INDEX_URL=
COPY host/constraints.txt /opt/gdws-setup/constraints.txt
RUN if [ -n "${TORCH_INDEX_URL}" ]; then \
        pip install --index-url "${TORCH_INDEX_URL}" --constraint /opt/gdws-setup/constraints.txt torch torchvision; \
    fi
# Dependencies first: this layer is built anew only when the pins or the metadata change.
COPY device/pyproject.toml /opt/gdws-setup/device/
COPY host/pyproject.toml /opt/gdws-setup/host/
RUN pip install --constraint /opt/gdws-setup/constraints.txt /opt/gdws-setup/device "/opt/gdws-setup/host[local]"

COPY device/gdws_contract /opt/gdws-setup/device/gdws_contract
COPY device/gdws_agent /opt/gdws-setup/device/gdws_agent
COPY host/gdws /opt/gdws-setup/host/gdws
RUN pip install --no-deps --force-reinstall /opt/gdws-setup/device /opt/gdws-setup/host

USER gdws
WORKDIR /work
ENTRYPOINT ["gdws"]
