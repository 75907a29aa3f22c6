"""A small S3 server in this process, on loopback: what a pad store needs of one bucket, with real signatures and with the
ways of servers that a Ceph gateway does not show, chosen by the test.

    with SmallS3(quoted_etags=False) as s3:
        h.options = ["--store", s3.url("prefix")];  environment: s3.environment()
        s3.faults = Faults(seed=1, conflict=0.1, after=0.1)

It keeps what it counts: `s3.requests` maps "PUT", "GET range" and so on to how many came. The signature is checked from the
rules of "Authenticating Requests (AWS Signature Version 4)", independently of the program. Helper module: no test itself
(no #! line).
"""
import collections, datetime, hashlib, hmac, http.server, random, re, socketserver, ssl, threading, time, urllib.parse

SKEW = datetime.timedelta(minutes=15)


class Faults:
    """How often, of all requests, each thing goes wrong. One at a time."""
    KINDS = ("conflict", "before", "after", "slow", "drop", "short", "late")

    def __init__(self, seed=0, **share):
        assert set(share) <= set(self.KINDS), share
        self.random = random.Random(seed)
        self.share = share
        self.done = collections.Counter()

    def draw(self, kinds):
        for kind in kinds:
            if self.random.random() < self.share.get(kind, 0):
                self.done[kind] += 1
                return kind
        return None


class SmallS3:
    def __init__(self, bucket="bucket", quoted_etags=True, conditional_delete=False, ignore_conditions=(), page=1000,
                 absent_if_match=404, region="us-east-1", delay=0.0, certificate=None):
        self.bucket, self.quoted, self.conditional_delete = bucket, quoted_etags, conditional_delete
        self.ignored, self.page, self.absent_if_match, self.region = set(ignore_conditions), page, absent_if_match, region
        self.delay = delay                # seconds that a request is on its way, there and back
        self.certificate = certificate    # files with a certificate and its key: the server speaks TLS
        self.keys = {"AK": "SK"}          # access keys and their secrets
        self.tokens = None                # session tokens that hold; None: none is wanted
        self.clock_offset = datetime.timedelta(0)
        self.faults = Faults()
        self.respond = None               # a function of the handler that answers in place of the server
        self.denied = set()               # methods that the policy does not allow, and "LIST"
        self.full = False
        self.versioned = False
        self.objects = {}                 # name: (content, etag, meta)
        self.requests = collections.Counter()
        self.lock = threading.RLock()
        self.writes = 0

    def __enter__(self):
        outer = self

        class Handler(S3Handler):
            s3 = outer

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request, client_address):
                pass  # a client that hung up

        self.server = Server(("127.0.0.1", 0), Handler)
        if self.certificate:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(*self.certificate)
            # The handshake belongs to the connection's thread.
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    @property
    def endpoint(self):
        return f"{'https' if self.certificate else 'http'}://127.0.0.1:{self.server.server_address[1]}"

    def url(self, prefix="", **options):
        words = [f"{name.replace('_', '-')}={value}" for name, value in {"endpoint": self.endpoint, **options}.items()]
        return f"s3:{self.bucket}{'/' + prefix if prefix else ''}?{'&'.join(words)}"

    def environment(self, **more):
        return {"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "SK", "AWS_EC2_METADATA_DISABLED": "true", **more}

    def now(self):
        return datetime.datetime.now(datetime.timezone.utc) + self.clock_offset

    # -- what the bucket does; under the lock ------------------------------------------------------------------------------

    def same_tag(self, given, etag):
        return given == (f'"{etag}"' if self.quoted else etag)

    def put(self, name, content, if_none_match, if_match, meta):
        """A status, and the ETag."""
        with self.lock:
            there = self.objects.get(name)
            if if_none_match == "*" and there and "none-match" not in self.ignored:
                return 412, None
            if if_match is not None and "match" not in self.ignored:
                if there is None:
                    return self.absent_if_match, None
                if not self.same_tag(if_match, there[1]):
                    return 412, None
            self.writes += 1
            etag = hashlib.md5(content + str(self.writes).encode()).hexdigest()
            self.objects[name] = (content, etag, meta)
            return 200, etag

    def delete(self, name, if_match):
        with self.lock:
            there = self.objects.get(name)
            if self.conditional_delete and if_match is not None and there and not self.same_tag(if_match, there[1]):
                return 412
            self.objects.pop(name, None)
            return 204


def xml_error(code, message="", extra=""):
    return (f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message>{extra}'
            f'</Error>').encode()


class S3Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True    # head and body go in two pieces, and the second must not wait for a confirmation
    s3 = None

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", headers=(), cut=None):
        self.send_response_only(status)
        self.send_header("Date", self.s3.now().strftime("%a, %d %b %Y %H:%M:%S GMT"))
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if cut is not None:
            body = body[:cut]
            self.close_connection = True
        self.wfile.write(body)
        self.wfile.flush()

    def refuse(self, status, code, message="", extra="", headers=()):
        self.answer(status, xml_error(code, message, extra), [("Content-Type", "application/xml"), *headers])

    def hang_up(self):
        self.close_connection = True
        self.connection.close()

    # -- the signature ---------------------------------------------------------------------------------------------------

    def trouble_with_signature(self, body):
        """Nothing, or what refuse() takes."""
        given = self.headers.get("Authorization", "")
        found = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, ?"
                             r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})", given)
        if not found:
            return 403, "AccessDenied", "not signed"
        key, day, region, names, signature = found.groups()
        if key not in self.s3.keys:
            return 403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."
        if region != self.s3.region:
            return 400, "AuthorizationHeaderMalformed", "wrong region", f"<Region>{self.s3.region}</Region>"
        if self.s3.tokens is not None and self.headers.get("x-amz-security-token") not in self.s3.tokens:
            return 400, "ExpiredToken", "The provided token has expired."
        stamp = self.headers.get("x-amz-date", "")
        sent = datetime.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
        if abs(sent - self.s3.now()) > SKEW:
            return 403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large."
        wanted = {n.lower() for n in self.headers if n.lower().startswith("x-amz-")} | {"host"}
        if not wanted <= set(names.split(";")):
            return 403, "AccessDenied", "There were headers present in the request which were not signed"
        payload = self.headers["x-amz-content-sha256"]
        if payload != "UNSIGNED-PAYLOAD" and payload != hashlib.sha256(body).hexdigest():
            return 400, "XAmzContentSHA256Mismatch", ""
        path, _, query = self.path.partition("?")
        lines = "".join(f"{n}:{' '.join(self.headers[n].split())}\n" for n in names.split(";"))
        canonical = "\n".join([self.command, path, "&".join(sorted(query.split("&"))), lines, names, payload])
        scope = f"{day}/{region}/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        secret = ("AWS4" + self.s3.keys[key]).encode()
        for part in (day, region, "s3", "aws4_request"):
            secret = hmac.new(secret, part.encode(), hashlib.sha256).digest()
        if hmac.new(secret, text.encode(), hashlib.sha256).hexdigest() != signature:
            return 403, "SignatureDoesNotMatch", "The request signature we calculated does not match."
        return None

    # -- requests --------------------------------------------------------------------------------------------------------

    def handle_request(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        s3 = self.s3
        if s3.delay:
            time.sleep(s3.delay)
        path, _, query = self.path.partition("?")
        parts = urllib.parse.unquote(path).lstrip("/").split("/", 1)
        name = parts[1] if len(parts) > 1 else ""
        kind = self.command + (" range" if self.headers.get("Range") else "") + (" bucket" if not name else "")
        with s3.lock:
            s3.requests[kind] += 1
        if s3.respond and s3.respond(self):
            return
        trouble = self.trouble_with_signature(body)
        if trouble:
            return self.refuse(*trouble)
        if parts[0] != s3.bucket:
            return self.refuse(404, "NoSuchBucket", "The specified bucket does not exist")
        if self.command in s3.denied or ("LIST" in s3.denied and self.command == "GET" and name not in s3.objects):
            return self.refuse(403, "AccessDenied", "Access Denied")
        with s3.lock:
            fault = s3.faults.draw(("before", "slow", "drop") if self.command == "GET" else
                                   ("conflict", "before", "after", "slow", "drop", "late"))
            short = self.command == "GET" and s3.faults.draw(("short",))
        if fault == "conflict":
            return self.refuse(409, "ConditionalRequestConflict", "A conflicting conditional operation is under way")
        if fault == "before":
            return self.refuse(500, "InternalError", "We encountered an internal error. Please try again.")
        if fault == "slow":
            return self.refuse(503, "SlowDown", "Please reduce your request rate.")
        if fault == "drop" and s3.faults.random.random() < 0.5:
            return self.hang_up()
        {"PUT": self.put, "GET": self.get, "DELETE": self.delete}[self.command](name, query, body, fault, bool(short))

    do_PUT = do_GET = do_DELETE = handle_request

    def put(self, name, query, body, fault, short):
        if self.s3.full:
            return self.refuse(403, "QuotaExceeded", "")
        meta = {n.lower(): v for n, v in self.headers.items() if n.lower().startswith("x-amz-meta-")}
        words = (name, body, self.headers.get("If-None-Match"), self.headers.get("If-Match"), meta)
        status, etag = self.s3.put(*words)
        if fault == "late":  # a copy of the request that arrives once more, when it is long over
            threading.Timer(0.3, self.s3.put, words).start()
        if fault == "after":
            return self.refuse(500, "InternalError", "We encountered an internal error. Please try again.")
        if fault == "drop":
            return self.hang_up()
        if status == 200:
            return self.answer(200, b"", [("ETag", f'"{etag}"')])
        self.refuse(status, {412: "PreconditionFailed", 404: "NoSuchKey"}[status], "")

    def get(self, name, query, body, fault, short):
        if not name:
            return self.get_bucket(urllib.parse.parse_qs(query, keep_blank_values=True))
        with self.s3.lock:
            there = self.s3.objects.get(name)
        if fault == "drop":
            return self.hang_up()
        if there is None:
            return self.refuse(404, "NoSuchKey", "The specified key does not exist.")
        content, etag, meta = there
        headers = [("ETag", f'"{etag}"'), *meta.items()]
        status, wanted = 200, self.headers.get("Range")
        if wanted:
            first, last = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", wanted).groups())
            whole = len(content)
            content, status = content[first:last + 1], 206
            headers.append(("Content-Range", f"bytes {first}-{first + len(content) - 1}/{whole}"))
        self.answer(status, content, headers, cut=len(content) // 2 if short else None)

    def get_bucket(self, query):
        if "versioning" in query:
            state = "<Status>Enabled</Status>" if self.s3.versioned else ""
            return self.answer(200, f"<VersioningConfiguration>{state}</VersioningConfiguration>".encode())
        prefix, after = query.get("prefix", [""])[0], query.get("continuation-token", [""])[0]
        with self.s3.lock:
            names = sorted(n for n in self.s3.objects if n.startswith(prefix) and n > after)
            sizes = {n: len(self.s3.objects[n][0]) for n in names}
        page = names[:self.s3.page]
        more = len(names) > len(page)
        text = "".join(f"<Contents><Key>{n}</Key><Size>{sizes[n]}</Size></Contents>" for n in page)
        token = f"<NextContinuationToken>{page[-1]}</NextContinuationToken>" if more else ""
        self.answer(200, (f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{text}{token}"
                          f"</ListBucketResult>").encode())

    def delete(self, name, query, body, fault, short):
        status = self.s3.delete(name, self.headers.get("If-Match"))
        if fault == "after":
            return self.refuse(500, "InternalError", "")
        if fault == "drop":
            return self.hang_up()
        if status == 412:
            return self.refuse(412, "PreconditionFailed", "")
        self.answer(204)
