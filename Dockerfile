# Two images: `serve` (the last stage, and the default) predicts; `train` also contains GPy.
#   docker build -t gpserve .
#   docker build -t gpserve:train --target train .

FROM python:3.11-slim AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PATH=/app/venv/bin:$PATH
WORKDIR /app

FROM base AS packages
COPY requirements/ requirements/
RUN python3 -m venv venv && venv/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements/serve.txt

FROM packages AS packages-train
RUN venv/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements/train.txt

# A compiler as a Python package, so that its version and hash are locked like the others.
FROM base AS compiled
COPY requirements/compile.txt ./
RUN python3 -m venv venv && venv/bin/pip install --no-cache-dir --no-deps --require-hashes -r compile.txt
COPY service/gpr/triangle.c service/gpr/compiling.py service/gpr/
RUN venv/bin/python service/gpr/compiling.py

FROM base AS code
COPY gunicorn.conf.py ./
COPY service/ service/
COPY --from=compiled /app/service/gpr/__pycache__ service/gpr/__pycache__
RUN python3 -m compileall -q service

# A numeric user lets Kubernetes verify that it is not root.
FROM base AS train
COPY --from=packages-train /app/venv venv
COPY --from=code /app ./
COPY data/ data/
USER 10001:10001
EXPOSE 5000
CMD ["gunicorn", "service.app:app"]

FROM base AS serve
COPY --from=packages /app/venv venv
COPY --from=code /app ./
USER 10001:10001
EXPOSE 5000
CMD ["gunicorn", "service.app:app"]
