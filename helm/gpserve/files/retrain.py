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
import re
import sys
import time
import urllib.parse
import urllib.request

BUSY = {408, 429, 502, 503, 504}
PAUSE_SECONDS = float(os.environ.get("PAUSE_SECONDS", "5"))
LOOKS = 12  # a minute: replicas follow within seconds, and try a version that failed every 10 s


class SameServer(urllib.request.HTTPRedirectHandler):
    """Follows redirects, to another server without the password."""

    def redirect_request(self, request, answer, code, message, headers, url):
        """Return the request to the new address."""
        new = super().redirect_request(request, answer, code, message, headers, url)
        here, there = map(urllib.parse.urlsplit, (request.full_url, url))
        if new and (here.scheme, here.netloc) != (there.scheme, there.netloc):
            new.remove_header("Authorization")
        return new


class AnyAnswer(urllib.request.HTTPErrorProcessor):
    """Takes a redirect as an answer like others: the token is for the service alone."""

    def http_response(self, request, response):
        """Return the answer as it is."""
        return response

    https_response = http_response


def read_table(place):
    """Return the bytes of a file, or of what is at a URL."""
    try:
        if "://" not in place:
            with open(place, "rb") as file:
                return file.read()
        opener = urllib.request.build_opener(SameServer)
        with opener.open(with_password(place), timeout=60) as answer:
            return answer.read()
    except (OSError, ValueError, http.client.HTTPException) as error:
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
    head = {"Authorization": f"Bearer {token()}"}
    if body is not None:
        head |= {"Content-Type": "text/csv", "Idempotency-Key": key}
        head |= {"Content-Encoding": "gzip"} if body.startswith(b"\x1f\x8b") else {}
    opener, said = urllib.request.build_opener(AnyAnswer), ""
    while True:
        try:
            request = urllib.request.Request(url, body, head)
            with opener.open(request, timeout=60) as answer:
                content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            why = f"the service does not answer: {error}"
        else:
            if answer.status < 300:
                return document(url, content)
            why = f"{answer.status}: {reason(answer, content)}"
            if answer.status not in BUSY:
                sys.exit(f"the service refuses: {why}")
        if why != said:
            print(why, "- trying again", flush=True)
            said = why
        time.sleep(PAUSE_SECONDS)


def token():
    """Return the token, unless a header cannot hold it: then an error would show it."""
    found = os.environ["GPSERVE_TOKEN"]
    if not re.fullmatch(r"[ -~\x80-\xff]*", found):
        sys.exit("GPSERVE_TOKEN has characters that a header cannot hold, such as a line break")
    return found


def document(url, content):
    """Return the JSON object in an answer."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        sys.exit(f"{url} answers, but is not gpserve")
    return found


def reason(answer, body):
    """Return where a redirect points, what a problem document says, or how an answer begins."""
    location = answer.headers["Location"]
    if answer.status < 400 and location:
        return f"a redirect to {location!r}, where the token is not sent"
    try:
        return json.loads(body)["detail"]
    except (ValueError, RecursionError, KeyError, TypeError):
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
