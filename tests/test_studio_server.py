"""The whole server: what it answers, and hostile requests, all of which it refuses."""

import json
import os
import socket
from urllib.parse import quote, urlsplit

import pytest
from atelier import SMALL
from conftest import draw
from light_program import light_objectives
from studio_server import Server

from neural_style_transfer import transfer
from style_transfer.studio.library import key_of

pytest.importorskip("gradio", reason="needs gradio: pip install -r requirements-studio.txt")

SECRET = b"top secret of somebody else"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A studio with one run, and secrets around it."""
    parent = tmp_path_factory.mktemp("studio")
    folder = parent / "out"
    pictures = [draw(40, 56, 1), draw(48, 36, 2)]
    transfer(pictures[0], pictures[1:], folder / "run", objectives=light_objectives, **SMALL)
    (parent / "secret.txt").write_bytes(SECRET)
    (folder / "private.txt").write_bytes(SECRET)
    (folder / "link.png").symlink_to(parent / "secret.txt")
    (folder / "inputs").mkdir()
    (folder / "inputs" / "link.png").symlink_to(parent / "secret.txt")
    (folder / "inputs" / "up").symlink_to(parent)
    made = Server(folder)
    yield made
    made.close()


def test_what_the_page_needs_is_there(server):
    run = server.state(key_of("run"))["run"]
    assert run["status"] == "finished" and run["iterations"] == [0, 1, 2]
    base = f"/studio/runs/{run['key']}"
    for what in ("picture", "thumbnail", "iterations/1"):
        assert server.get(f"{base}/{what}").startswith(b"\xff\xd8")  # JPEG
    result = (server.folder / "run.png").read_bytes()
    assert server.get(f"{base}/download/picture") == result
    assert json.loads(server.get(f"{base}/download/settings"))["iter"] == 3
    assert server.get(f"{base}/download/16bit")[24] == 16
    assert b"<html" in server.get("/en/") and b"googleapis" not in server.get("/en/")


def test_headers_keep_the_browser_in(server):
    _, headers, _ = server.request("GET", "/en/")
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy and "http" not in policy
    assert headers["x-frame-options"] == "DENY" and headers["x-content-type-options"] == "nosniff"


def test_a_state_that_is_known_is_not_sent_again(server):
    _, headers, _ = server.request("GET", "/studio/state")
    again = {"If-None-Match": headers["etag"]}
    assert server.request("GET", "/studio/state", headers=again)[0] == 304


def hostile(server) -> list[tuple]:
    """(method, path, body, headers) of requests that try to leave the folder, or too much."""
    folder, host = str(server.folder), urlsplit(server.address).netloc
    key = key_of("run")
    outside = str(server.folder.parent / "secret.txt")
    evil = {"Origin": "http://evil.example"}
    form = {"Content-Type": "application/json"}
    paths = [
        "/../secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e/secret.txt",
        "/%252e%252e/secret.txt",
        "/studio/static/../secret.txt",
        "/studio/static/..%2f..%2fpage.py",
        "/studio/static/%2e%2e/page.py",
        "/studio/static/page.py",
        "/studio/samples/..%2fsecret.txt",
        "/studio/runs/../../secret.txt",
        "/studio/runs/link/picture",
        "/studio/runs/..%2frun/picture",
        f"/studio/runs/{key}/download/..%2f..%2fsecret.txt",
        f"/studio/runs/{key}/download/private.txt",
        f"/studio/runs/{key}/iterations/..%2f1",
        f"/studio/runs/{key}/iterations/-1",
        f"/studio/runs/{key}/iterations/99999999999999999999",
        f"/studio/runs/{key}/photograph/../picture",
        f"/studio/runs/{key_of('link')}/picture",
        f"/studio/runs/{key_of('../secret')}/picture",
        f"/en/gradio_api/file={outside}",
        f"/en/gradio_api/file={quote(outside, safe='')}",
        f"/en/gradio_api/file={folder}/inputs/../private.txt",
        f"/en/gradio_api/file={folder}/private.txt",
        f"/en/gradio_api/file={folder}/run.json",
        f"/en/gradio_api/file={folder}/link.png",
        f"/en/gradio_api/file={folder}/inputs/link.png",
        f"/en/gradio_api/file={folder}/inputs/up/secret.txt",
        f"/en/gradio_api/file={folder}/.studio/lock",
        "/en/gradio_api/file=/etc/passwd",
        "/en/gradio_api/file=../../etc/passwd",
        "/en/gradio_api/file=http://169.254.169.254/latest/meta-data",
        "/en/gradio_api/file=file:///etc/passwd",
        "/en/gradio_api/file/etc/passwd",
        "/en/gradio_api/proxy=http://127.0.0.1:1/",
        "/en/gradio_api/vibe-code/",
        "/en/gradio_api/runs",
        "/en/gradio_api/custom_component/1/client/a/b",
        "/en/monitoring",
        "/en/assets/..%2f..%2f..%2froutes.py",
        "/en/static/%2e%2e/x",
        "/en/svelte/..%5c..%5cx",
        "/zh/gradio_api/file=/etc/passwd",
        "/docs",
        "/openapi.json",
        "/" + "a" * 5000,
    ]
    requests = [("GET", path, None, {}) for path in paths]
    requests += [
        ("GET", "/studio/state", None, {"Host": "evil.example"}),
        ("GET", "/studio/state", None, {"Host": f"evil.example:{host.partition(':')[2]}"}),
        ("GET", "/studio/state", None, evil),
        ("GET", "/studio/state", None, {"Sec-Fetch-Site": "cross-site"}),
        ("POST", f"/studio/runs/{key}/stop", b"{}", form | evil),
        ("POST", f"/studio/runs/{key}/stop", b"{}", {"Content-Type": "text/plain"}),
        ("POST", f"/studio/runs/{key}/continue", b"a=1", {}),
        ("POST", f"/studio/runs/{key}/continue", b'{"more": 1e9}', form),
        ("POST", f"/studio/runs/{key}/continue", b'{"more": "1; rm"}', form),
        ("POST", f"/studio/runs/{key}/continue", b'{"weights": "/etc/passwd"}', form),
        ("POST", f"/studio/runs/{key}/continue", b'{"content_weight": NaN}', form),
        ("POST", f"/studio/runs/{key}/continue", b'{"from_iteration": -5, "more": 1}', form),
        ("POST", f"/studio/runs/{key}/continue", b"[" * 3000, form),
        ("POST", f"/studio/runs/{key}/continue", b"{" + b" " * 10_000, form),
        ("POST", "/en/gradio_api/upload", b"x", form | evil),
        ("POST", "/en/gradio_api/upload", b"", {"Content-Length": str(1 << 40)}),
        ("POST", "/en/gradio_api/queue/join", b"", {"Content-Length": str(1 << 40)}),
        ("POST", "/en/gradio_api/run/predict", b"{}", form),
        ("POST", "/en/gradio_api/call/begin", b"{}", form),
        ("DELETE", f"/studio/runs/{key}/picture", None, {}),
        ("PUT", "/studio/state", b"", {}),
    ]
    return requests


def test_hostile_requests_are_all_refused(server):
    before = sorted(os.walk(server.folder.parent))
    requests = hostile(server)
    assert len(requests) >= 50
    for method, path, body, headers in requests:
        status, _, answer = server.request(method, path, body, headers)
        assert 400 <= status < 500, (status, method, path, answer[:200])
        assert SECRET not in answer and b"root:" not in answer and b"Traceback" not in answer
    assert sorted(os.walk(server.folder.parent)) == before
    assert server.state(key_of("run"))["run"]["iterations"] == [0, 1, 2]


def test_what_is_no_http_does_no_harm(server):
    where = urlsplit(server.address)
    for data in (b"\0" * 100, b"GET / HTTP/1.1\r\nHost: " + b"a" * 100_000 + b"\r\n\r\n", b""):
        with socket.create_connection((where.hostname, where.port), timeout=10) as connection:
            connection.sendall(data)
            connection.settimeout(10)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
    assert server.state()["runs"]


def upload(server, content: bytes, name: str) -> tuple[int, bytes]:
    """Send a file as a browser does."""
    boundary = "----studio"
    body = (
        (
            f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n'
            "Content-Type: image/png\r\n\r\n"
        ).encode()
        + content
        + f"\r\n--{boundary}--\r\n".encode()
    )
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    status, _, answer = server.request("POST", "/en/gradio_api/upload", body, kind)
    return status, answer


def test_uploads_stay_in_the_folder_and_run_no_script(server):
    for name in ("../../evil.png", "/etc/evil.png", "..\\evil.png", "evil\0.png", "evil.html"):
        status, answer = upload(server, b"<script>alert(1)</script>", name)
        if status != 200:
            continue
        (path,) = json.loads(answer)
        assert os.path.realpath(path).startswith(str(server.folder / ".studio" / "uploads"))
        status, headers, _ = server.request("GET", f"/en/gradio_api/file={quote(path)}")
        assert "sandbox" in headers["content-security-policy"]
    assert not list(server.folder.parent.glob("*evil*"))


def test_beyond_this_machine_a_password_is_asked(tmp_path):
    (tmp_path / "out").mkdir()
    server = Server(tmp_path / "out", "--host", "0.0.0.0")
    try:
        (line,) = [text for text in open(server.log.name) if text.startswith("Password")]  # noqa
        assert len(line.split()[-1]) >= 12
        for path in ("/", "/en/", "/studio/state", "/en/config", "/en/gradio_api/info"):
            assert server.request("GET", path)[0] == 401
    finally:
        server.close()


def test_two_studios_do_not_share_a_folder(server, tmp_path):
    with pytest.raises(AssertionError, match="no running studio"):
        Server(server.folder)


def test_ctrl_c_ends_it(tmp_path):
    (tmp_path / "out").mkdir()
    server = Server(tmp_path / "out")
    assert server.interrupt() == 130
    server.log.close()
