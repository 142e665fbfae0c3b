# Two stages: the first has pip and its caches, the second only what runs.
# Debian, not Alpine: typst publishes no wheels for musl.

FROM python:3.13-slim AS dependencies
COPY requirements-runtime.lock /
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --disable-pip-version-check --only-binary :all: \
      --require-hashes --requirement /requirements-runtime.lock \
 && /venv/bin/pip uninstall --yes --quiet pip

FROM python:3.13-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin service \
 && install --directory --owner service /data
COPY --from=dependencies /venv /venv
WORKDIR /service
COPY alembic.ini ./
COPY migrations migrations
COPY app app
RUN /venv/bin/python -m compileall -q app migrations
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    ARAGORA_ENV=production \
    ARAGORA_HOST=0.0.0.0 \
    ARAGORA_PORT=8000 \
    ARAGORA_DATA_DIR=/data
USER service
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['ARAGORA_PORT'] + '/health/ready', timeout=2)"]
ENTRYPOINT ["python", "-m", "app.cli"]
CMD ["serve"]
