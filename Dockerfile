# The prediction server (docs/serve.md).
#
#   docker build -t speaq .
#   docker build -t speaq:cuda --build-arg TORCH=cu130 .
#   docker run -p 127.0.0.1:8000:8000 -v ./demo/run/best:/model:ro speaq
ARG PYTHON=3.12
FROM python:${PYTHON}-slim

# The builds of PyTorch: cpu, or a version of CUDA such as cu130.
ARG TORCH=cpu

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONUNBUFFERED=1

WORKDIR /speaq
COPY requirements.txt requirements-dev.txt ./
# The tested versions, as constraints; PyTorch first, as it is large and changes rarely.
RUN grep -hE '^[A-Za-z0-9_.-]+==' requirements.txt requirements-dev.txt > constraints.txt \
    && pip install -c constraints.txt --index-url "https://download.pytorch.org/whl/${TORCH}" torch
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip install -c constraints.txt ".[serve,onnx]" \
    && useradd --create-home --uid 1000 speaq

USER 1000
WORKDIR /home/speaq
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["speaq", "serve", "--host", "0.0.0.0"]
CMD ["/model"]
