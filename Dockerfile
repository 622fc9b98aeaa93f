# One image for both programs: `gunicorn wsgi:app` and `python run_proxy.py`
FROM python:3.14-slim

ENV PYTHONUNBUFFERED=1 GATEWAY__DATA_DIR=/data
WORKDIR /app

# docker build --build-arg EXTRA=otel . also installs what exports traces; docs/how-to/tracing.md
ARG EXTRA=
COPY requirements*.txt ./
RUN pip install --no-cache-dir --require-hashes -r requirements.txt ${EXTRA:+-r requirements-$EXTRA.txt}

COPY . .
# docker run -e GW_URL=… -e GW_TOKEN=… IMAGE gw status
RUN ln -s /app/scripts/gw /usr/local/bin/gw

# The programs run as any user of group 0, also on a read-only file system; they write to /data only.
# Compiled here, because that user cannot write here. Uncompiled, the proxy starts in 7 to 10 s.
RUN python -m compileall -q . && chmod -R g+rX . && install -d -o 10001 -g 0 -m 770 /data

# A number, because Kubernetes checks runAsNonRoot by it.
USER 10001:0
VOLUME /data
EXPOSE 8080 8081 9464 9465
CMD ["python", "run_proxy.py"]
