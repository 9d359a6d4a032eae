"""Creates a key pair with PyKMIP's client on a server that is ready, loses an answer on purpose, and looks at the journal.

    pip install PyKMIP==0.11.0
    kms-server dev --ephemeral --listen 127.0.0.1:0 --admin 127.0.0.1:0 --ready-file ready.json &
    python create_key.py ready.json
"""

import json
import pathlib
import sys
import urllib.request

from kmip.core import enums
from kmip.pie.client import ProxyKmipClient

ready = json.loads(pathlib.Path(sys.argv[1]).read_text())
host, port = ready["listen"].rsplit(":", 1)
pki = pathlib.Path(ready["profile"]).parent / "pki"


def admin(method, path, body=None):
    request = urllib.request.Request(
        f"http://{ready['admin']}{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def connect():
    return ProxyKmipClient(
        hostname=host,
        port=int(port),
        cert=str(pki / "client.pem"),
        key=str(pki / "client.key"),
        ca=str(pki / "ca.pem"),
        ssl_version="PROTOCOL_TLS",
        config_file="/dev/null",
        kmip_version=enums.KMIPVersion.KMIP_1_4,
    )


def create(client):
    return client.create_key_pair(enums.CryptographicAlgorithm.RSA, 2048)


with connect() as client:
    public, private = create(client)
    print("created", public, private)

# The next pair is made, and the server dies before it says so: this is what a client has to be ready for.
admin("POST", "/v1/faults", {"fault": "close:after-commit", "operation": "Create Key Pair", "count": 1})
try:
    with connect() as client:
        create(client)
except Exception as error:
    print("lost", type(error).__name__)

for exchange in admin("GET", "/v1/journal?operation=Create+Key+Pair")["exchanges"]:
    for item in exchange["items"]:
        print(exchange["client"], item["operation"], item["status"], [fired["fault"] for fired in exchange["faults"]]
              if "faults" in exchange else "")
