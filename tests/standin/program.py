"""The program of the stand-in engine: the head listens for its workers, they join it, then it serves one completion.

Standard library only. A worker that finds no head at once ends with 3, and a rank that loses the others ends with 4:
nothing here tries again, so only the right order of starts makes a gang.
"""

import argparse
import http.server
import json
import os
import socket
import sys
import threading
from contextlib import suppress


def main() -> None:
    """One rank, in the foreground."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--model")
    asked.add_argument("--rank", type=int)
    asked.add_argument("--ranks", type=int)
    asked.add_argument("--meet-at")
    asked.add_argument("--meet-port", type=int)
    asked.add_argument("--side-port", type=int)
    asked.add_argument("--serve", type=int)
    asked.add_argument("--room", type=float)
    told = asked.parse_args()
    mine = os.environ["STANDIN_ADDRESS"]
    side = socket.create_server((mine, told.side_port))
    sys.stderr.write(f"rank {told.rank} of {told.ranks} at {mine}\n")
    if told.rank:
        join(told, side)
    head(told, mine)


def join(told: argparse.Namespace, side: socket.socket) -> None:
    """A worker: tells the head where it listens, then answers it there for ever."""
    try:
        with socket.create_connection((told.meet_at, told.meet_port), 2) as line:
            line.sendall(f"{os.environ['STANDIN_ADDRESS']}\n".encode())
    except OSError as error:
        sys.stderr.write(f"no head at {told.meet_at}: {error}\n")
        raise SystemExit(3) from None
    while True:
        asked, _ = side.accept()
        with asked, suppress(OSError):  # who only knocks is gone by now
            asked.sendall(asked.recv(64))


def head(told: argparse.Namespace, mine: str) -> None:
    """Rank 0: waits for all workers, then serves."""
    meeting = socket.create_server((mine, told.meet_port))
    workers = []
    while len(workers) < told.ranks - 1:
        line, _ = meeting.accept()
        workers += filter(None, [said(line)])
    threading.Thread(target=refuse, args=(meeting,), daemon=True).start()
    key = os.environ.get("STANDIN_TOKEN", "")

    class Api(http.server.BaseHTTPRequestHandler):
        """GET /about, POST /complete."""

        def do_GET(self) -> None:
            self.answer(200, {"about": {"release": "1"}})

        def do_POST(self) -> None:
            wanted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if key and self.headers.get("Authorization") != f"Bearer {key}":
                return self.answer(401, {})
            for worker in workers:
                if not echoed(worker, told.side_port):
                    os._exit(4)
            text = " ".join(["word"] * wanted["most"])
            return self.answer(200, {"result": [{"outputs": {"said": text}}], "used": {"made": wanted["most"]}})

        def answer(self, status: int, value: object) -> None:
            """One JSON value."""
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            """Quiet."""

    sys.stderr.write("serving\n")
    http.server.ThreadingHTTPServer(("0.0.0.0", told.serve), Api).serve_forever()


def said(line: socket.socket) -> str:
    """Where a worker listens; empty of one that only knocks, as sparkctl does to see what packet filters let through."""
    with line, line.makefile() as words, suppress(OSError):
        return words.readline().strip()
    return ""


def refuse(meeting: socket.socket) -> None:
    """A worker that comes again is one that was lost."""
    while not said(meeting.accept()[0]):
        pass
    os._exit(4)


def echoed(worker: str, port: int) -> bool:
    """Whether the worker is there."""
    try:
        with socket.create_connection((worker, port), 2) as line:
            line.sendall(b"x")
            return line.recv(1) == b"x"
    except OSError:
        return False


if __name__ == "__main__":
    main()
