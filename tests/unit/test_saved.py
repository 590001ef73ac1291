"""What `--save` keeps: the answer of every probe, the report, the inventory; and no secret, however it is dressed."""

from __future__ import annotations

import base64
import json
import re
import time
from dataclasses import asdict, replace

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from sparkctl.loadtest.results import Load
from sparkctl.outcome import Unknown
from sparkctl.report.compare import Comparison, Difference, Turn, parse
from sparkctl.report.redact import GONE, redacted
from sparkctl.report.saved import file_name, files
from sparkctl.study import study_text
from tests.unit.healthy import INVENTORIES, SHIPPED
from tests.unit.judged import HOSTILE, judged
from tests.unit.test_secrets import DESK, FORMS

SECRET = "Tr0ub4dor&3"
MAC = "4c:bb:47:2e:10:a7"
NETPLAN = f"""network:
  wifis:
    wlP9s9:
      access-points:
        "Home Network": {{password: "{SECRET}"}}
      auth: {{key-management: eap, client-key-password: '{SECRET}', psk: {SECRET}}}
  ethernets: {{enP7s7: {{macaddress: {MAC}, mtu: 9000}}}}
"""


def batch(**answers: str) -> str:
    """What a node sends back for these probes."""
    said = "".join(f"{name.replace('__', ':/')} 0 {len(text.encode())}\n{text}\n" for name, text in answers.items())
    return base64.b64encode(said.encode()).decode() + "\n"


@pytest.mark.parametrize(
    "text",
    [
        f"psk={SECRET}",
        f"psk: {SECRET}",
        f'"password": "{SECRET}",',
        f"  password: '{SECRET}'",
        f"802-11-wireless-security.psk:{SECRET}",
        f"wifi-sec.wep-key0={SECRET}",
        f"HF_TOKEN={SECRET}",
        f"export HUGGING_FACE_HUB_TOKEN='{SECRET}'",
        f"VLLM_API_KEY={SECRET}",
        f"vllm serve x --api-key {SECRET} --port 8000",
        f"--api-key={SECRET}",
        f"Authorization: Bearer {SECRET}longer",
        f"curl -H 'Authorization: Basic {SECRET}'",
        f"https://user:{SECRET}@registry.example/v2",
        f"AWS_SECRET_ACCESS_KEY={SECRET}",
        f"private-key-passwd={SECRET}",
        f"-----BEGIN OPENSSH PRIVATE KEY-----\n{SECRET}\n{SECRET}\n-----END OPENSSH PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----\n{SECRET} cut off",
        f"password: correct horse {SECRET}",
        f"password: abc,{SECRET}",
        f"auth: {{password: correct horse {SECRET}, eap: ttls}}",
        f"psk=correct horse {SECRET}",
        f"auth_key: {SECRET}",
        f"access_key: {SECRET}",
        f"TOKENIZER_PASSWORD={SECRET}",
        f"'api_key': ['{SECRET}']",
        f"api_key: [abc, {SECRET}]",
        f'"api_key": [\n  "abc",\n  "{SECRET}"\n]',
        f'["--api-key", "{SECRET}"]',
        f'["--token", "--password", "{SECRET}"]',
        f'{{"a": "token",\n "password": "{SECRET}"}}',
        f'credentials:\n  "password": "{SECRET}"',
        f'{{"log": "password: a {SECRET}"}}',
        f"http://user:p@{SECRET}@host",
        f"api_key_file: token={SECRET}",
        NETPLAN,
        base64.b64encode(NETPLAN.encode()).decode(),
        base64.b64encode(NETPLAN.encode() + b"# Stra\xdfe\n").decode(),
        f"600 0 0 5a5a\n{base64.b64encode(f'HF_TOKEN={SECRET}'.encode()).decode()}",
    ],
)
def test_what_looks_like_a_secret_is_taken_out(text: str) -> None:
    clean = redacted(text)
    assert SECRET not in clean
    for encoded in re.findall(r"[A-Za-z0-9+/]{12,}={0,2}", clean):
        whole = encoded.rstrip("=")[: len(encoded.rstrip("=")) // 4 * 4]
        assert SECRET[:8].encode() not in base64.b64decode(whole)


@pytest.mark.parametrize("form", [form for form in FORMS if form not in ("key", "url", "bearer")])
def test_what_a_rule_sees_by_its_form_is_taken_out_whole(form: str) -> None:
    assert redacted(f"see {FORMS[form]} there") == f"see {GONE} there"


def test_what_is_left_is_a_text_in_yaml_and_json() -> None:
    assert yaml.safe_load(redacted(f"a: 1\ntoken: {SECRET} x # y\nb: [{{psk: {SECRET}}}]\n")) == {
        "a": 1,
        "token": GONE,
        "b": [{"psk": GONE}],
    }
    assert json.loads(redacted(f'{{"log": "password: a {SECRET}", "Env": ["TOKEN={SECRET}", "A=b"]}}')) == {
        "log": f"password: {GONE}",
        "Env": [f"TOKEN={GONE}", "A=b"],
    }


@pytest.mark.parametrize("name", SHIPPED)
def test_the_saved_copy_of_an_inventory_is_as_it_was(name: str) -> None:
    written = (INVENTORIES / f"{name}.yaml").read_text(encoding="utf-8")
    clean = redacted(written, ["a-key-of-the-api", "vLLM", "pass"])
    assert yaml.safe_load(clean) == yaml.safe_load(written)
    assert study_text(clean.encode(), f"{name}.yaml", DESK).errors == ()


@pytest.mark.parametrize(
    "text",
    [
        f"link/ether {MAC} brd ff:ff:ff:ff:ff:ff",
        "fe80::4ebb:47ff:fe2e:10a7/64",
        "MemAvailable: 120586240 kB",
        "--max-num-batched-tokens 8192",
        "max_tokens=16",
        "max_tokens: auto",
        "--tokenizer org/model",
        "tokenizer_mode: auto",
        "api_key_file: secrets/api.key",
        "HF_TOKEN_PATH=/root/.cache/token",
        "--api-key-file secrets/api.key",
        "https://example.org:8080/a@b",
        base64.b64encode(b"network: {version: 2} # Stra\xdfe\n").decode(),
        "mapping: {pings: all, shipping=yes}",
        "key-management: psk",
        "NCCL_IB_GID_INDEX=3",
        "0x15b3 fw_ver 28.45.4028",
        "sha256:" + "5a" * 32,
        base64.b64encode(b"network: {version: 2}\n").decode(),
        "gid 0000:0000:0000:0000:0000:ffff:0a14:000b RoCE v2",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redacted(text) == text


def test_a_mac_address_beside_a_secret_stays() -> None:
    assert MAC in redacted(NETPLAN)
    assert redacted(NETPLAN).count(GONE) == 3


def test_a_known_secret_goes_wherever_it_is() -> None:
    hidden = base64.b64encode(b"echo 'correct horse'").decode()
    clean = redacted(f"x correct horse y {hidden}", ["correct horse\n", "", "ab"])
    assert "correct horse" not in clean and "x [redacted] y" in clean
    assert b"correct horse" not in base64.b64decode(clean.split()[-1])


def test_a_short_known_secret_is_one_as_a_word_only() -> None:
    assert redacted("sparkctl/v1 vllm-openai spark pass.", ["spark", "vllm", "pass"]) == (
        f"sparkctl/v1 vllm-openai {GONE} {GONE}."
    )


@given(st.text() | HOSTILE, st.lists(HOSTILE, max_size=3))
@example("xabcd-efgh-ijklx", ["bcd", "abcd-efgh-ijkl"])
@example("redacted", ["reda", "redacted"])
def test_known_secrets_go_from_any_text(text: str, secrets: list[str]) -> None:
    left = redacted(text, secrets).split(GONE)
    assert not [s for s in secrets if len(s.strip()) >= 12 and any(s.strip() in part for part in left)]
    words = {word for part in left for word in part.split()}
    assert not words & {s.strip() for s in secrets if len(s.strip()) >= 4}


@pytest.mark.parametrize(
    "part",
    ["token", "password", "psk.", "--token-", "a.", "a://", "-----BEGIN ", "x:y@", "hf_", '"', "\\",
     "token=[", "{token: ", 'token,"', "'token': ['", "token=", "max_tokens: a", "eyJaaaaaaaaa."],
)
def test_a_hostile_answer_takes_no_longer_than_another(part: str) -> None:
    begun = time.process_time()
    redacted(part * (2**17 // len(part)))
    assert time.process_time() - begun < 3  # seconds; 0.3 is usual, quadratic would be minutes


def test_every_answer_is_a_file_and_nothing_secret_is_in_any() -> None:
    proof = judged("dual")
    raw = {
        "spark-1": batch(
            links="[]", file__etc="600 0 0 5a\n" + base64.b64encode(NETPLAN.encode()).decode(), env=f"T_TOKEN={SECRET}"
        ),
        "spark-2": f"not a batch, password={SECRET}",
    }
    written = files(proof, raw, f"engine: {{env: {{HF_TOKEN: {SECRET}}}}}\n", ["key-of-the-api"])
    assert set(written) == {
        "verdicts.json",
        "report.html",
        "inventory.yaml",
        "raw/spark-1/links.txt",
        "raw/spark-1/file_etc.txt",
        "raw/spark-1/env.txt",
        "raw/spark-2/answer.txt",
    }
    for text in written.values():
        decoded = [base64.b64decode(e + "=" * (-len(e) % 4)) for e in re.findall(r"[A-Za-z0-9+/]{40,}={0,2}", text)]
        assert SECRET not in text and not any(SECRET.encode() in one for one in decoded)
    said = json.loads(written["verdicts.json"])
    assert (said["version"], said["cluster"], said["sparkctl"], said["expect"]) == (1, "dual", "1.2.3", "real")
    assert said["thresholds"] == {"latency": {"value": 9.0, "default": 5.0}}
    assert len(said["verdicts"]) == len(proof.verdicts)
    assert {row["unit"] for row in said["load"]} == {"Gb/s", "us", "GB/s"}


def test_a_short_secret_leaves_the_report_a_report() -> None:
    proof = judged("dual")
    assert proof.load is not None
    said = replace(proof.verdicts[0], message="the spark-1 of pass", measured="pass", remedy="write pass")
    unread = {trial: (Unknown("no pass"),) * len(trial.lanes) for trial in proof.load.measured}
    turn, move = Turn("a", "w", "pass", "fail", "a pass"), Difference("b", "w", "pass", "spark")
    since = Comparison("then", (turn,), (move,))
    proof = replace(proof, verdicts=(said, *proof.verdicts[1:]), load=Load(unread), since=since)
    written = files(proof, {}, "", ["pass", "spark", "dual", "class"])
    old = parse(written["verdicts.json"])
    assert (old.cluster, len(old.verdicts)) == ("dual", len(proof.verdicts))
    kept = old.verdicts[0]
    assert (kept.state, kept.message, kept.measured) == (said.state, f"the spark-1 of {GONE}", GONE)
    values = json.loads(written["verdicts.json"])
    assert {row["note"] for row in values["load"]} <= {f"no {GONE}", "a rail was not measured", "a way was not measured"}
    assert values["compared"]["turns"][0] | {"said": ""} == asdict(replace(turn, said=""))
    assert (values["compared"]["turns"][0]["said"], values["compared"]["moves"][0]["after"]) == (f"a {GONE}", GONE)
    assert 'class="' in written["report.html"]


@given(HOSTILE | st.sampled_from(["..", ".", "", "../../etc/passwd", "/", ".ssh"]))
def test_a_name_stays_in_its_folder(text: str) -> None:
    name = file_name(text)
    assert re.fullmatch(r"[A-Za-z0-9_=-][A-Za-z0-9._=-]*", name)
