"""A small provider that answers as Gemini does: generateContent and streamGenerateContent."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

USAGE = {"promptTokenCount": 6, "candidatesTokenCount": 3, "thoughtsTokenCount": 2, "totalTokenCount": 11}
OVER_THE_MINUTE = {
    "error": {
        "code": 429,
        "message": "You exceeded your current quota.",
        "status": "RESOURCE_EXHAUSTED",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                "violations": [
                    {
                        "quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_requests",
                        "quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier",
                        "quotaDimensions": {"location": "global", "model": "gemini-2.5-flash"},
                        "quotaValue": "10",
                    }
                ],
            },
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.010s"},
        ],
    }
}

COME_BACK_SOON = {
    "error": {
        "code": 429,
        "message": "Resource has been exhausted (e.g. check quota).",
        "status": "RESOURCE_EXHAUSTED",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.010s"}],
    }
}


def answer(text):
    content = {"role": "model", "parts": [{"text": text}]}
    return {"candidates": [{"content": content, "finishReason": "STOP"}], "usageMetadata": USAGE}


class Gemini:
    """Refuses with the given bodies first, then answers."""

    def __init__(self, *refusals):
        self.refusals = list(refusals)
        self.paths = []
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                provider.paths.append(self.path)
                if provider.refusals:
                    refusal = provider.refusals.pop(0)
                    self.reply(refusal["error"]["code"], "application/json", json.dumps(refusal))
                elif "stream" in self.path:
                    events = [f"data: {json.dumps(answer(text))}\r\n\r\n" for text in ("Hel", "lo")]
                    self.reply(200, "text/event-stream", "".join(events))
                else:
                    self.reply(200, "application/json", json.dumps(answer("Hello")))

            def reply(self, status, kind, text):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
