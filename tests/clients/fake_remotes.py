"""Small fake remotes: handlers for httpx.MockTransport that record; and how the fake box answers."""

import threading
import time

import httpx
import orjson

PASSWORD = "secret-password"


class FakeRemote:
    """Counts logins, knows which token lives, records the calls; `script` answers are given first."""

    def __init__(self):
        self.logins = []
        self.calls = []
        self.live = set()
        self.script = []
        self.login_script = []
        self.login_seconds = 0.0
        self.revoke_new = False
        self._lock = threading.Lock()

    def new_token(self):
        token = f"token-number-{len(self.logins)}"
        self.live = set() if self.revoke_new else {token}
        return token

    def __call__(self, request):
        if "token" in request.url.path:
            with self._lock:
                self.logins.append(request)
                if self.login_script:
                    return answer_of(self.login_script.pop(0))
                time.sleep(self.login_seconds)
                return self.login_answer(request, self.new_token())
        with self._lock:
            self.calls.append(request)
            token = request.headers.get("token") or request.headers.get("Authorization", "")[7:]
            if token not in self.live:
                return self.dead_answer()
            if self.script:
                return answer_of(self.script.pop(0))
        return self.answer(request)

    @property
    def bodies(self):
        return [orjson.loads(request.content) for request in self.calls]


def answer_of(scripted):
    return scripted() if callable(scripted) else scripted


class FakeShop(FakeRemote):
    def login_answer(self, request, token):
        return httpx.Response(
            200, json={"token_type": "Bearer", "expires_in": 600, "access_token": token}
        )

    def dead_answer(self):
        return httpx.Response(401, json={"errors": [{"code": "9", "status": "401"}]})

    def answer(self, request):
        return httpx.Response(200, json={"orders": [], "page": 1, "pages": 1, "total": 0})


class FakeBox(FakeRemote):
    """Takes the passwords in `passwords`; refuses body shapes in `refused_shapes`."""

    passwords = (PASSWORD,)
    refused_shape = None
    dead = httpx.Response(400, json={"status": 0, "errorArray": ["token in header not found"]})

    def login_answer(self, request, token):
        if orjson.loads(request.content)["restapipassword"] not in self.passwords:
            return box_refuses("Невірний логін або пароль")
        return httpx.Response(200, json={"status": 1, "dataArray": {"token": token}})

    def dead_answer(self):
        return self.dead

    def answer(self, request):
        body = orjson.loads(request.content)
        if request.url.path == "/api/v2/order/set/" and isinstance(body, self.refused_shape or ()):
            return box_refuses("Відсутня перший елемент масиву процесів")
        return httpx.Response(200, json={"status": 1, "dataArray": [101]})


def box_refuses(text, status=200):
    return httpx.Response(status, json={"status": 0, "errorArray": [text]})


def accepted(data):
    return httpx.Response(200, json={"status": 1, "dataArray": data})
