"""Knocks for real: two nodes that are network namespaces, real rules of nft and iptables, and the verdict of the check."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from sparkctl.checks import CHECKS, View
from sparkctl.execute.read_facts import questions
from sparkctl.facts import firewall, knock
from sparkctl.facts.base import answers, batch, parsed
from sparkctl.outcome import Known, RailEnd, Verdict
from tests.truth.test_hello import P1, Q1, ROOT, Ground, ip
from tests.unit.healthy import healthy, studied

CLUSTER, FABRIC, _ = studied("dual")
ONE, TWO = "spark-1", "spark-2"
PATH = "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
IN = "type filter hook input priority 0;"
FIRST = "ct state established,related accept"
A = f'iifname "{P1}"'


@pytest.fixture(scope="module")
def pair() -> Iterator[Ground]:
    """Both rails of the inventory `dual`, and nothing else."""
    made = Ground()
    for netdev in (P1, Q1):
        made.cable(f"{ONE}:{netdev}", f"{TWO}:{netdev}")
    for a in FABRIC.attachments:
        ip("-n", made.node(a.node), "addr", "add", str(a.address), "dev", a.netdev)
    yield made
    made.close()


@pytest.fixture
def ground(pair: Ground) -> Iterator[Ground]:
    yield pair
    for node in (ONE, TWO):
        inside(pair, node, "nft", "flush", "ruleset")


def inside(ground: Ground, node: str, *words: str, text: str = "") -> str:
    command = ["ip", "netns", "exec", ground.node(node), *words]
    ran = subprocess.run(
        command, input=text, env={"PATH": PATH}, capture_output=True, text=True, timeout=20, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def rules(ground: Ground, node: str, *lines: str, family: str = "inet") -> None:
    inside(ground, node, "nft", "-f", "-", text="\n".join((f"table {family} f {{", "chain in {", *lines, "}", "}", "")))


def seen(ground: Ground) -> View:
    """Both nodes asked at the same time, as `verify` asks them, and all that it does not ask healthy."""
    view, asked = healthy("dual"), questions(CLUSTER, FABRIC, knock=True)
    said = {}
    for node, each in asked.items():
        assert each.survey is not None
        script = batch(probe for probe in each.probes() if probe.name in ("knocks", "firewall")).script
        command = ["ip", "netns", "exec", ground.node(node), "sh"]
        said[node] = subprocess.Popen(command, stdin=-1, stdout=-1, env={"PATH": PATH}, text=True)
        assert said[node].stdin is not None
        said[node].stdin.write(script)
        said[node].stdin.close()
    facts = dict(view.facts)
    for node, program in said.items():
        assert program.stdout is not None
        found = answers(program.stdout.read())
        assert program.wait(20) == 0
        knocks, filters = parsed(found["knocks"], knock.parse), parsed(found["firewall"], firewall.parse)
        facts[node] = replace(facts[node], survey=replace(facts[node].survey, knocks=knocks, firewall=filters))
    return replace(view, facts=facts)


def judged(ground: Ground) -> dict[str, Verdict]:
    return {verdict.where: verdict for verdict in CHECKS["firewall"](seen(ground))}


def test_open_nodes_answer_every_knock_at_once(ground: Ground) -> None:
    begun = time.monotonic()
    found = judged(ground)
    assert [v.state for v in found.values()] == ["pass", "pass"], found
    assert [v.measured for v in found.values()] == ["9 knocks answered, ufw absent", "8 knocks answered, ufw absent"]
    assert time.monotonic() - begun < knock.SECONDS - 1


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((IN, f"{A} tcp dport 1024-65535 drop"), ("knocks of spark-1 timed out", "tcp dport 1024-65535 drop")),
        ((IN, FIRST, "meta l4proto tcp drop"), ("timed out", "meta l4proto tcp drop")),
        ((f"{IN} policy drop;", FIRST, "meta l4proto icmp accept"), ("timed out", "policy drop")),
        ((IN, f"{A} meta l4proto tcp reject"), ("knocks of spark-1: icmp 3", "meta l4proto tcp reject")),
        ((IN, FIRST, f"{A} reject with icmpx type admin-prohibited"), ("icmp 13", "admin-prohibited")),
        ((IN, FIRST, f"{A} meta l4proto tcp reject with tcp reset"), ("refused, though open", "reject with tcp reset")),
        ((IN, f"{A} meta l4proto tcp reject with tcp reset"), ("answers of spark-1 do not come in", "reject with tcp reset")),
        ((IN, f"{A} ct state new limit rate over 1/minute burst 1 packets drop"), ("timed out", "limit rate over 1/minute")),
        ((IN, f'{A} udp dport {{ 53, 4791 }} drop'), (P1, "4791")),
    ],
    ids=["drop", "stateful", "policy", "reject", "prohibited", "reset", "stateless-reset", "rate", "roce"],
)  # fmt: skip
def test_what_a_filter_does_is_named_with_its_rule(
    ground: Ground, lines: tuple[str, ...], said: tuple[str, ...]
) -> None:
    rules(ground, TWO, *lines)
    found = judged(ground)
    assert found[ONE].state == "pass", found[ONE]
    assert found[TWO].state == "fail", found[TWO]
    assert all(words in found[TWO].measured for words in said), found[TWO].measured


@pytest.mark.parametrize(
    ("lines", "state", "said"),
    [
        ((f"{IN} policy drop;", FIRST, f'iifname {{ "{P1}", "{Q1}" }} accept'), "pass", "knocks answered"),
        (
            (IN, "tcp dport { 22, 3389, 8000 } drop", 'iifname "lo" meta l4proto tcp drop', "udp dport 53 drop"),
            "pass",
            "",
        ),
        ((IN, "ip saddr { 192.0.2.7, 203.0.113.0/24 } drop"), "pass", ""),
        ((IN, f"{A} tcp dport 32769 drop"), "warn", "may drop some: nft inet f in"),
        ((IN, f"{A} ct state new limit rate over 1000/second drop"), "warn", "may drop some: nft inet f in"),
        ((IN, "udp dport 4791 meta mark 7 drop"), "warn", "may drop some: nft inet f in"),
    ],
    ids=["allowed", "others", "addresses", "odd-port", "generous-rate", "roce-maybe"],
)
def test_what_keeps_no_knock_away_is_no_failure(ground: Ground, lines: tuple[str, ...], state: str, said: str) -> None:
    rules(ground, TWO, *lines)
    found = judged(ground)
    assert (found[ONE].state, found[TWO].state) == ("pass", state), found
    assert said in found[TWO].measured


def test_a_filter_before_all_tables_is_seen(ground: Ground) -> None:
    rules(ground, TWO, f'type filter hook ingress device "{P1}" priority 0;', "ip protocol tcp drop", family="netdev")
    found = judged(ground)
    assert (found[ONE].state, found[TWO].state) == ("pass", "fail"), found
    assert found[TWO].ends == (RailEnd("spark-1", "p1", "A"), RailEnd("spark-2", "p1", "A"))


def test_a_rule_of_iptables_and_how_to_let_rails_in(ground: Ground) -> None:
    inside(ground, TWO, "iptables", "-I", "INPUT", "-i", P1, "-p", "tcp", "-j", "DROP")
    found = judged(ground)
    assert (found[ONE].state, found[TWO].state) == ("pass", "fail"), found
    assert f"iptables -A INPUT -i {P1} -p tcp -j DROP" in found[TWO].measured
    inside(ground, TWO, "iptables", "-F")
    assert judged(ground)[TWO].state == "pass"


def test_both_ends_closed_are_both_named(ground: Ground) -> None:
    for node in (ONE, TWO):
        rules(ground, node, f"{IN} policy drop;", FIRST)
    assert {v.state for v in judged(ground).values()} == {"fail"}


def test_what_no_rule_explains_fails_with_what_was_measured(ground: Ground) -> None:
    """Answers vanish in the routing of the other node, as in any filter that nft and iptables do not show."""
    ip("-n", ground.node(TWO), "rule", "add", "to", "10.20.0.11", "ipproto", "tcp", "blackhole")
    try:
        found = judged(ground)
    finally:
        ip("-n", ground.node(TWO), "rule", "del", "to", "10.20.0.11", "ipproto", "tcp", "blackhole")
    failed = [v for v in found.values() if v.state == "fail"]
    assert failed and all("no rule that was read does that" in v.measured and P1 in v.measured for v in failed), found


def test_a_node_that_does_not_knock_is_no_filter(ground: Ground) -> None:
    """Its kernel refuses: whether a filter would is not known, and no failure is made up."""
    (probe,) = (p for p in questions(CLUSTER, FABRIC, knock=True)[ONE].probes() if p.name == "knocks")
    said = knock.parse(inside(ground, ONE, "/usr/bin/python3", str(PROGRAM), probe.words[-1]))
    assert {answer for each in said.said.values() for answer in each.values()} == {"refused"}
    view = healthy("dual")
    alone = replace(view.facts[ONE], survey=replace(view.facts[ONE].survey, knocks=Known(said)))
    silent = replace(view.facts[TWO], survey=replace(view.facts[TWO].survey, knocks=Known(knock.Knocks())))
    states = {v.where: v.state for v in CHECKS["firewall"](replace(view, facts={ONE: alone, TWO: silent}))}
    assert "fail" not in states.values(), states


STILL = """
import runpy, sys, time
program = runpy.run_path(sys.argv[1])
Knock, converse = program["Knock"], program["converse"]
scope = converse.__globals__
scope["LOOK"] = 0
moments = iter((0.0, 0.0, 9.9, 10.1))
def monotonic():
    time.sleep(0.2)
    return next(moments)
scope["time"] = type("Clock", (), {"monotonic": staticmethod(monotonic)})
open_port, dropped = (Knock("enp1s0f1np1", "10.20.0.11", "10.20.0.12", port, True) for port in (40000, 40002))
dropped.due = 9.0
converse([], [open_port, dropped], "/nowhere", 10.0 if len(sys.argv) > 2 else 5.0)
print(open_port.said or "-", dropped.said or "-")
"""


def test_a_node_that_stood_still_makes_no_filter_up(ground: Ground) -> None:
    """Its program hears what was answered meanwhile, and what it asked only now, or not any more, says nothing."""
    rules(ground, TWO, IN, "tcp dport 40002 drop")
    command = "import socket, time; s = socket.create_server((str(), 40000)); print(flush=True); time.sleep(20)"
    words = ["ip", "netns", "exec", ground.node(TWO), "/usr/bin/python3", "-c", command]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as listener:
        assert listener.stdout is not None and listener.stdout.readline()
        too_late = inside(ground, ONE, "/usr/bin/python3", "-c", STILL, str(PROGRAM))
        just_now = inside(ground, ONE, "/usr/bin/python3", "-c", STILL, str(PROGRAM), "just now")
        listener.kill()
    assert (too_late.split(), just_now.split()) == (["accepted", "-"], ["accepted", "-"])


PROGRAM = ROOT / "templates/facts/knock.py"
STARTS = 50
HEAD = """
import json, os, random, subprocess, sys, threading, time
program, asked, starts = sys.argv[1:]
units = "/run/systemd/units"
subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
os.makedirs(units)
link = units + "/invocation:sparkctl-engine.service"
ENGINE = '''
import asyncio, json, socket, time
time.sleep(0.25)  # more than ten looks of who knocks; a container alone takes longer to start
def free():
    with socket.socket() as s:
        s.bind(("", 0))
        return s.getsockname()[1]
found = [free() for _ in range(8)]
held = []
for port in (29501, *found):
    held.append(socket.socket())
    held[-1].bind(("", port))
    held[-1].listen()
'''
over, lent = threading.Event(), 0
def verify():
    global lent
    while not over.is_set():
        ran = subprocess.run([sys.executable, "-I", "-S", program, asked], capture_output=True, text=True, check=True)
        lent += ["10.20.0.11", 29501] in json.loads(ran.stdout)["opened"]
thread = threading.Thread(target=verify)
thread.start()
failed = []
for _ in range(int(starts)):
    time.sleep(random.random() * 0.4)
    os.symlink("1", link)
    ran = subprocess.run([sys.executable, "-I", "-S", "-c", ENGINE], capture_output=True, text=True)
    os.unlink(link)
    failed += [ran.stderr] * bool(ran.returncode)
over.set()
thread.join()
print(json.dumps({"failed": failed, "lent": lent}))
"""


def test_no_engine_fails_to_start_while_nodes_knock(ground: Ground) -> None:
    """Fifty starts of an engine that takes its port without SO_REUSEADDR, and any that the kernel says are free."""
    asked = {
        n: next(p for p in q.probes() if p.name == "knocks").words[-1]
        for n, q in questions(CLUSTER, FABRIC, knock=True).items()
    }
    words = [
        "ip",
        "netns",
        "exec",
        ground.node(ONE),
        "unshare",
        "--mount",
        "/usr/bin/python3",
        "-c",
        HEAD,
        str(PROGRAM),
        asked[ONE],
        str(STARTS),
    ]
    head = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    came = 0
    while head.poll() is None:
        said = knock.parse(inside(ground, TWO, "/usr/bin/python3", "-I", "-S", str(PROGRAM), asked[TWO]))
        came += said.said["10.20.0.12", "10.20.0.11"][29501] == "accepted"
    assert head.stdout is not None
    told = json.loads(head.stdout.read())
    assert head.returncode == 0
    assert told["failed"] == []
    assert told["lent"] and came, "the port was open for knocks while no engine ran, and they came"
