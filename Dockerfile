# The service on its embedded defaults: one process, SQLite in /data, no root, read-only root file system.
FROM python:3.11-slim AS build
WORKDIR /src
COPY requirements/runtime.txt requirements/runtime.txt
RUN python -m venv /opt/drpo && /opt/drpo/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY optimizer optimizer
COPY rewards rewards
COPY store store
RUN /opt/drpo/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /data drpo && install -d -o drpo /data
COPY --from=build /opt/drpo /opt/drpo
ENV PATH=/opt/drpo/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    DRPO_SERVER__HOST=0.0.0.0 \
    DRPO_DATABASE__URL=sqlite+aiosqlite:////data/drpo.db
USER drpo
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
ENTRYPOINT ["drpo"]
CMD ["serve"]
