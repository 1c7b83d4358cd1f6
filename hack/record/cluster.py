"""A real etcd and kube-apiserver, and putting cluster states into them.

No controller and no kubelet runs beside them: what a state says is what kube-proxy sees.
"""

import http.client
import json
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from processes import RecordError, Server, run

Object = dict[str, Any]

TOKEN = "recorder"
PORT = 16443
#: The address at which the node's network namespace reaches the API server.
ADDRESS = "192.168.1.1"
SERVICE_CIDRS = "10.96.0.0/16,fd00:10:96::/112"
#: Old clusters hold Services written before the API server grew strict about the text of addresses
#: (leading zeros, host bits); with this gate off such Services can still be made.
FEATURE_GATES = "StrictIPCIDRValidation=false"

_COLLECTIONS = {
    "Node": "/api/v1/nodes",
    "Namespace": "/api/v1/namespaces",
    "Service": "/api/v1/namespaces/{}/services",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices",
}
_EVERYWHERE = {
    "Namespace": "/api/v1/namespaces",
    "Node": "/api/v1/nodes",
    "Service": "/api/v1/services",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/endpointslices",
}
#: The kinds that make up a state, in the order in which they are created.
_KINDS = ("Node", "Service", "EndpointSlice")
#: Set by the API server itself, so not sent with a new object.
_SERVER_FIELDS = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "uid")


class ApiError(RecordError):
    """The API server refused a request."""


class Api:
    """The few requests that a recording makes."""

    def __init__(self, host: str = "127.0.0.1", port: int = PORT) -> None:
        """Speak to the API server at this address, whose certificate nobody has signed."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._connection = http.client.HTTPSConnection(host, port, context=context, timeout=30)

    def request(self, method: str, path: str, body: Object | None = None) -> Object:
        """One request; the answer's JSON."""
        try:
            status, data = self._exchange(method, path, body)
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise ApiError(f"{method} {path}: {error}") from error
        answer: Object = json.loads(data) if data[:1] == b"{" else {"text": data.decode()}
        if status >= 400:
            raise ApiError(f"{method} {path}: {status} {answer.get('message', answer)}")
        return answer

    def _exchange(self, method: str, path: str, body: Object | None) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        text = json.dumps(body) if body else None
        try:
            self._connection.request(method, path, text, headers)
            response = self._connection.getresponse()
        except (BrokenPipeError, http.client.RemoteDisconnected):
            # The server ends connections that nobody uses for a while: a new one will do.
            self._connection.close()
            self._connection.request(method, path, text, headers)
            response = self._connection.getresponse()
        return response.status, response.read()

    def ready(self) -> bool:
        """Whether the API server answers, and has made the Service of its own."""
        try:
            self.request("GET", "/readyz")
            self.request("GET", "/api/v1/namespaces/default/services/kubernetes")
        except ApiError:
            return False
        return True

    def create(self, thing: Object) -> None:
        """Create one object, then write its status, which a new object does not keep."""
        metadata = {k: v for k, v in thing["metadata"].items() if k not in _SERVER_FIELDS}
        collection = _COLLECTIONS[thing["kind"]].format(metadata.get("namespace", ""))
        made = self.request("POST", collection, {**thing, "metadata": metadata})
        status = thing.get("status")
        if status:
            # Read again: the answer to POST may be older than what admission made of it.
            path = f"{collection}/{made['metadata']['name']}"
            current = self.request("GET", path)
            self.request("PUT", f"{path}/status", {**current, "status": status})

    def listing(self, kind: str) -> list[Object]:
        """All objects of a kind, by namespace and name, each with its apiVersion and kind."""
        answer = self.request("GET", _EVERYWHERE[kind])
        version = answer["apiVersion"]
        for item in answer["items"]:
            item["metadata"].pop("managedFields", None)
        items = ({"apiVersion": version, "kind": kind, **item} for item in answer["items"])
        return sorted(items, key=_sort_key)

    def clear(self) -> None:
        """Delete every Node, Service and EndpointSlice but the API server's own Service."""
        for kind in _KINDS:
            for item in self.listing(kind):
                if not is_own_service(item):
                    namespace = item["metadata"].get("namespace", "")
                    path = f"{_COLLECTIONS[kind].format(namespace)}/{item['metadata']['name']}"
                    self.request("DELETE", path)

    def load(self, things: list[Object]) -> None:
        """Make the cluster hold these objects and no others of their kinds."""
        self.clear()
        namespaces = {t["metadata"].get("namespace") for t in things} - {None, "default"}
        present = {n["metadata"]["name"] for n in self.listing("Namespace")}
        for name in sorted(namespaces - present):
            self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        for kind in _KINDS:
            for thing in things:
                if thing["kind"] == kind and not is_own_service(thing):
                    self.create(thing)

    def dump(self) -> Object:
        """The whole state as one v1 List: Nodes, then Services, then EndpointSlices."""
        items = [item for kind in _KINDS for item in self.listing(kind)]
        return {"apiVersion": "v1", "kind": "List", "items": items}


def is_own_service(thing: Object) -> bool:
    """Whether this is the Service that the API server makes for itself."""
    metadata = thing["metadata"]
    name = (thing["kind"], metadata.get("namespace"), metadata["name"])
    return name == ("Service", "default", "kubernetes")


def _sort_key(item: Object) -> tuple[str, str]:
    metadata = item["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


@contextmanager
def running(tools: Path, scratch: Path) -> Iterator[Api]:
    """Run etcd and the API server; both end with the block."""
    key = scratch / "service-account.key"
    run(["openssl", "genrsa", "-out", str(key), "2048"])
    tokens = scratch / "tokens.csv"
    tokens.write_text(f"{TOKEN},recorder,0,system:masters\n", encoding="utf-8")
    etcd = [str(tools / "etcd"), "--data-dir", str(scratch / "etcd"), "--unsafe-no-fsync"]
    apiserver = [
        str(tools / "kube-apiserver"),
        "--etcd-servers=http://127.0.0.1:2379",
        f"--secure-port={PORT}",
        f"--advertise-address={ADDRESS}",
        f"--cert-dir={scratch / 'certificates'}",
        f"--token-auth-file={tokens}",
        "--authorization-mode=RBAC",
        "--disable-admission-plugins=ServiceAccount",
        "--endpoint-reconciler-type=none",
        f"--service-cluster-ip-range={SERVICE_CIDRS}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        f"--feature-gates={FEATURE_GATES}",
    ]
    with ExitStack() as stack:
        stack.enter_context(Server("etcd", etcd, scratch / "etcd.log"))
        server = Server("kube-apiserver", apiserver, scratch / "kube-apiserver.log")
        stack.enter_context(server)
        api = Api()
        server.wait_until(api.ready, "it was ready", 60)
        yield api
