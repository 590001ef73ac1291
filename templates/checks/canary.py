"""Runs on a node as `python3 - CONFIG`: watches the engine's unit and asks the head for real tokens.

Prints one JSON object per line: log, cursor, then one of ready, failed, waiting. Standard library only.
"""

import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request

config = json.loads(sys.argv[1])


def say(**fields):
    print(json.dumps(fields), flush=True)


def output(*words):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=10, check=False)
    return done.stdout.decode("utf-8", "replace")


def logs(cursor):
    """New lines of the unit since `cursor`, and the new cursor."""
    since = ["--after-cursor", cursor] if cursor else ["--since", "@%d" % (time.time() - 5)]
    shown = output("journalctl", "--unit", config["unit"], "-o", "cat", "--no-pager", "--show-cursor", *since)
    lines = shown.splitlines()
    if lines and lines[-1].startswith("-- cursor: "):
        cursor = lines.pop()[len("-- cursor: ") :]
    for line in lines[-config["lines"] :]:
        if line.strip() and not line.startswith("-- "):
            say(log=line.strip()[:400])
    return cursor


def unit():
    shown = output("systemctl", "show", config["unit"], "--property=ActiveState,SubState,NRestarts,Result")
    return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)


def dead(state):
    """Why the unit cannot become ready, or an empty text. One restart is one death: a gang with a hole is no gang."""
    if state.get("ActiveState") in ("failed", "inactive"):
        return "unit %s is %s (%s)" % (config["unit"], state.get("ActiveState"), state.get("Result"))
    if int(state.get("NRestarts") or 0) > config["restarts"]:
        return "unit %s died and was started again" % config["unit"]
    return ""


def lit(netdev):
    """Whether it has a carrier; one that is down has none to lose, and one that nobody can read is no cut cable."""
    try:
        with open("/sys/class/net/%s/carrier" % netdev) as file:
            return file.read().strip() != "0"
    except OSError:
        return True


def cut(since):
    """A cable that has been out for a while, or an empty text: no engine starts without it. `since`: dark from when."""
    now = time.monotonic()
    for netdev in config["netdevs"]:
        if lit(netdev):
            since.pop(netdev, None)
        elif now - since.setdefault(netdev, now) >= config["dark"]:
            return "%s has lost its link: is the cable out?" % netdev
    return ""


def request(path, body=None):
    headers = {"Content-Type": "application/json"}
    if config.get("key_file"):
        with open(config["key_file"]) as file:
            headers["Authorization"] = "Bearer " + file.read().strip()
    url = "http://%s:%d%s" % (config["host"], config["port"], path)
    sent = None if body is None else json.dumps(body).encode()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, sent, headers), timeout=config["patience"]) as answer:
        return json.load(answer)


def inside(answer, place):
    """The value at `place`: keys and indexes with dots between; KeyError where there is none."""
    for part in place.split("."):
        if isinstance(answer, list) and part.isdigit() and int(part) < len(answer):
            answer = answer[int(part)]
        elif isinstance(answer, dict):
            answer = answer[part]
        else:
            raise KeyError(part)
    return answer


def count(answer):
    try:
        return int(inside(answer, config["tokens"]))
    except (KeyError, TypeError):
        return 0


def ask():
    """One completion: (what came, or None; why not)."""
    begun = time.monotonic()
    try:
        answer = request(config["completion_path"], config["completion"])
        seconds = time.monotonic() - begun
        text, tokens = inside(answer, config["text"]), count(answer)
        if tokens < 1:
            return None, "the engine answered without a token"
        return {"text": text, "tokens": tokens, "seconds": round(seconds, 3), "version": version()}, ""
    except urllib.error.HTTPError as error:
        return None, "HTTP %d from %s" % (error.code, config["completion_path"])
    except (OSError, ValueError, KeyError) as error:
        cause = getattr(error, "reason", error)
        late = "no answer in time" if isinstance(cause, TimeoutError) else "no answer that can be read: %s" % cause
        return None, getattr(cause, "strerror", None) or late


def causes(lines):
    """At most three lines that tell why: the first errors are the cause, later ones wrap them; else the last words."""
    told = []
    for line in lines:
        found = re.search(r"\b[A-Z]\w*(Error|Exception): .+", line)
        if found and found.group() not in told and "See root cause" not in line:
            told.append(found.group()[:300])
    return told[-3:] if told else lines[-3:]


def version():
    try:
        return str(inside(request(config["version_path"]), config["version"])) if config["version_path"] else "unknown"
    except (OSError, ValueError, KeyError):
        return "unknown"


def main():
    until = time.monotonic() + config["slice"]
    cursor, why, tick, since = config.get("cursor", ""), "nothing was asked", 0, {}
    while True:
        # Looking at log and unit costs a loading engine its core; asking where nobody listens yet costs nothing.
        if tick % config["look_every"] == 0:
            if config["logs"]:
                cursor = logs(cursor)
            lost = cut(since)
            if lost:
                return say(failed=lost)
            reason = dead(unit())
            if reason:
                break
        tick += 1
        if config["serves"]:
            answer, why = ask()
            if answer:
                return say(ready=answer)
        if time.monotonic() >= until:
            return say(waiting=why, cursor=cursor)
        time.sleep(config["pause"])
    shown = output("journalctl", "--unit", config["unit"], "-o", "cat", "--no-pager", "-n", "400")
    return say(failed=reason, last=causes([line.strip() for line in shown.splitlines() if line.strip()]))


main()
