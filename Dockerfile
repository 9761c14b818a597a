# One image for web, workers, beat and migrations; the command says which.
FROM python:3.11-slim-bookworm AS build
WORKDIR /app
COPY requirements.lock ./
COPY deploy/install ./deploy/
RUN deploy/install requirements.lock
COPY . .
RUN deploy/collect

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin exchange
WORKDIR /app
COPY --from=build /app /app
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=config.settings STATIC_ROOT=/app/static NUMBA_CACHE_DIR=/tmp/numba
USER 10001
EXPOSE 8000
ENTRYPOINT ["python", "-m", "exchangectl.programs"]
CMD ["web"]
HEALTHCHECK --interval=10s --timeout=10s --start-period=30s --retries=6 \
    CMD ["python", "-m", "exchangectl.programs", "healthy", "web"]
