# The image of a server and of `trivium models`: Debian 12, Python 3.11, and what requirements/server.txt locks.
# Models are never in it; they come with a volume at /models. docs/operations.md says how it is run.
#
#   docker build --tag trivium-server:0.1.0 .

FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY requirements/build.txt requirements/server.txt requirements/
# Two environments: what builds wheels stays here, what runs is copied below.
RUN python -m venv /opt/build \
 && /opt/build/bin/pip install --require-hashes --requirement requirements/build.txt \
 && python -m venv /opt/trivium \
 && /opt/trivium/bin/pip install --require-hashes --only-binary :all: --requirement requirements/server.txt
COPY clients/python clients/python
COPY models models
COPY service service
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels ./clients/python ./models ./service \
 && /opt/trivium/bin/pip install --no-deps --no-index /wheels/*.whl \
 && /opt/trivium/bin/pip check

FROM python:3.11-slim-bookworm
COPY --from=build /opt/trivium /opt/trivium
# Nothing is written but below /models and /tmp, so the rest may be mounted read-only.
ENV PATH=/opt/trivium/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    TRIVIUM_MODELS_DIR=/models
# A number, so that an orchestrator can tell that it is not root.
USER 10001:10001
VOLUME ["/models"]
EXPOSE 50051
STOPSIGNAL SIGTERM
# The server is the first process and gets SIGTERM itself: it drains, and ends with 0.
ENTRYPOINT ["trivium", "serve"]
