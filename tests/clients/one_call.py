"""One call of the transport: to a handler in place of a network, or to a server on a real port."""

import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
import threading

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from clients.base import HttpTransport
from clients.deadline import Deadline


def post(handler, deadline=5.0, **arguments):
    transport = httpx.MockTransport(handler)
    with HttpTransport("https://x.test", transport=transport, **arguments) as http:
        return http.post_json("/path", {"a": "ї"}, {"token": "tkn-value"}, Deadline(deadline))


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"


@contextlib.contextmanager
def raw_server(*chunks, pause=0.0, context=None):
    """A server on a real port that answers each connection with these bytes, pausing before each."""
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def serve():
        while not done.is_set():
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), plain:
                talk = context.wrap_socket(plain, server_side=True) if context else plain
                with talk:
                    talk.recv(65536)
                    for chunk in chunks:
                        done.wait(pause)
                        talk.sendall(chunk)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        done.set()
        # Wakes the accept; closing alone does not on every system.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def ask(port, seconds=5.0, scheme="http"):
    with HttpTransport(f"{scheme}://127.0.0.1:{port}") as http:
        return http.post_json("/", {}, {}, Deadline(seconds))


def self_signed(folder):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "server.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context
