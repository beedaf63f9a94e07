"""A chat-completions endpoint on loopback that plays a script; the real OpenAI client talks to it."""

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Reply = tuple[int, dict[str, str], bytes]
GOOD = {"label": "anomalous", "confidence": 0.9, "evidence": ["E1"], "reason": "disk gone"}


def completion(content, tokens=100):
    """A well-formed reply whose message is `content` (JSON when it is a dict)."""
    text = content if isinstance(content, str) else json.dumps(content)
    document = {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "stub",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": tokens - 1, "completion_tokens": 1, "total_tokens": tokens},
    }
    return 200, {"content-type": "application/json"}, json.dumps(document).encode()


def error(status, headers=None):
    """A reply that refuses."""
    return status, headers or {}, b'{"error": {"message": "refused"}}'


class ChatStub:
    """Serves `play(number of the request, its JSON body)`; keeps the bodies it got."""

    def __init__(self, play: Callable[[int, dict], Reply | float]):
        stub = self
        self.requests: list[dict] = []
        self._lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with stub._lock:
                    stub.requests.append(body)
                    number = len(stub.requests)
                reply = play(number, body)
                if isinstance(reply, float):  # drip bytes for so long
                    self.send_response(200)
                    self.send_header("content-length", "1000")
                    self.end_headers()
                    end = time.monotonic() + reply
                    try:
                        while time.monotonic() < end:
                            self.wfile.write(b" ")
                            self.wfile.flush()
                            time.sleep(0.05)
                    except OSError:
                        return
                    return
                status, headers, content = reply
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self):
        """Base URL to give a client."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
