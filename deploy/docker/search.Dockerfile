# The search service: the front door. No PyTorch.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH VIRTUAL_ENV=/opt/venv
RUN pip install --no-cache-dir uv==0.13.9
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY protos protos
COPY landmarks landmarks
COPY encoder_service encoder_service
COPY indexer_worker indexer_worker
COPY ranking ranking
COPY search_service search_service
COPY vector_store vector_store
COPY evaluation evaluation
RUN uv pip install --no-cache --constraint requirements.lock ".[search]"

FROM python:3.11-slim-bookworm
RUN useradd --uid 10001 --create-home landmarks
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1
USER 10001
EXPOSE 50050 8080
CMD ["python", "-m", "search_service"]
