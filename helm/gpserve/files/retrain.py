"""Train the service on a table, wait for the end, and fail unless the new version is served.

The table is a file or a URL, the token is in GPSERVE_TOKEN. IDEMPOTENCY_KEY makes a pod that
replaces an evicted one follow the training that is there instead of starting another one. How long
all of it may take is the business of whoever starts the program.
"""

import base64
import hashlib
import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

BUSY = {408, 429, 502, 503, 504}
PAUSE_SECONDS = float(os.environ.get("PAUSE_SECONDS", "5"))
LOOKS = 12  # a minute: replicas follow within seconds, and try a version that failed every 10 s


def read_table(place):
    """Return the bytes of a file, or of what is at a URL."""
    try:
        if "://" not in place:
            with open(place, "rb") as file:
                return file.read()
        with urllib.request.urlopen(with_password(place), timeout=60) as answer:
            return answer.read()
    except (OSError, http.client.HTTPException) as error:
        sys.exit(f"the table cannot be read: {error}")


def with_password(url):
    """Return a request that sends the user and the password in a URL as Basic credentials."""
    login, at, _ = urllib.parse.urlsplit(url).netloc.rpartition("@")
    request = urllib.request.Request(url.replace(login + at, "", 1))
    if at:
        encoded = base64.b64encode(urllib.parse.unquote_to_bytes(login)).decode()
        request.add_header("Authorization", f"Basic {encoded}")
    return request


def ask(url, body=None, key=""):
    """Return an answer's JSON; ask again while the service is busy, restarting or unreachable."""
    head = {"Authorization": f"Bearer {os.environ['GPSERVE_TOKEN']}"}
    if body is not None:
        head |= {"Content-Type": "text/csv", "Idempotency-Key": key}
        head |= {"Content-Encoding": "gzip"} if body.startswith(b"\x1f\x8b") else {}
    said = ""
    while True:
        try:
            request = urllib.request.Request(url, body, head)
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            why = f"{error.code}: {reason(error.read())}"
            if error.code not in BUSY:
                sys.exit(f"the service refuses: {why}")
        except (OSError, http.client.HTTPException) as error:
            why = f"the service does not answer: {error}"
        if why != said:
            print(why, "- trying again", flush=True)
            said = why
        time.sleep(PAUSE_SECONDS)


def reason(body):
    """Return the detail of a problem document, or the start of another answer."""
    try:
        return json.loads(body)["detail"]
    except (ValueError, KeyError, TypeError):
        return body[:200].decode(errors="replace")


def train(base, table, options):
    """Send the table, and return the job's document when it has ended."""
    digest = hashlib.sha256(table + json.dumps(options).encode()).hexdigest()[:16]
    key = f"{os.environ.get('IDEMPOTENCY_KEY', time.time_ns())}-{digest}"
    query = urllib.parse.urlencode(options)
    job = ask(f"{base}/train?{query}", table, key)
    said = ""
    while job["status"] in ("accepted", "running"):
        if job["message"] != said:
            said = job["message"]
            print(f"/jobs/{job['jobID']}: {said}", flush=True)
        time.sleep(PAUSE_SECONDS)
        job = ask(f"{base}/jobs/{job['jobID']}")
    return job


def wait_until_served(base, version):
    """Return when the service says that it serves a version; fail if it does not in time."""
    for _ in range(LOOKS):
        models = ask(f"{base}/models")["models"]
        if any(each["version"] == version and each["current"] for each in models):
            return
        time.sleep(PAUSE_SECONDS)
    sys.exit(
        f"version {version} was trained and activated, but is not served: it was replaced "
        f"meanwhile, or cannot be loaded. {base}/models, /readyz and the web pods' log say more."
    )


def main(base, place, options):
    """Train, and report."""
    job = train(base, read_table(place), options)
    if job["status"] != "successful":
        sys.exit(f"the training {job['status']}: {job.get('problem', {}).get('detail', '')}")
    print(job["message"], flush=True)
    if options.get("activate", "").lower() in ("false", "0"):
        return
    if "not activated" in job["message"]:
        sys.exit(f"version {job['version']} is not served: its scores are clearly worse")
    wait_until_served(base, job["version"])


main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
