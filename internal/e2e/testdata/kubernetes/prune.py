#!/usr/bin/env python3
"""Writes kubernetes-VERSION.json.gz beside this script: the published OpenAPI
schemas of the kinds that ops/kubernetes uses, strict (unknown fields are
faults), without descriptions. They come from the PyPI package
kubernetes-validate (Apache-2.0), which carries those of every release:

    pip download --no-deps kubernetes-validate==1.37.0
    python3 prune.py kubernetes_validate-1.37.0-py3-none-any.whl 1.25 1.37
"""
import gzip, json, os, sys, zipfile

KINDS = {
    "apps/v1 StatefulSet": "io.k8s.api.apps.v1.StatefulSet",
    "v1 Service": "io.k8s.api.core.v1.Service",
    "v1 ConfigMap": "io.k8s.api.core.v1.ConfigMap",
}
PREFIX = "/api/_definitions.json#/$defs/"


def without_descriptions(node, names=False):
    """names: the keys of node are names of fields, of which one may be "description"."""
    if isinstance(node, dict):
        return {k: without_descriptions(v, k in ("properties", "$defs") and not names) for k, v in node.items() if names or k != "description"}
    return [without_descriptions(v) for v in node] if isinstance(node, list) else node


def references(node):
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"].rsplit("/", 1)[1]
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from references(child)


wheel = zipfile.ZipFile(sys.argv[1])
for version in sys.argv[2:]:
    path = f"kubernetes_validate/kubernetes-json-schema/v{version}.0-local-strict/_definitions.json"
    all_of_them = without_descriptions(json.loads(wheel.read(path)))["$defs"]
    kept, open_ = {}, sorted(KINDS.values())
    while open_:
        name = open_.pop()
        if name not in kept:
            kept[name] = all_of_them[name]
            open_ += references(kept[name])
    text = json.dumps({"$defs": kept, "kinds": KINDS}, sort_keys=True, separators=(",", ":")).replace(PREFIX, "#/$defs/")
    out = os.path.join(os.path.dirname(os.path.abspath(__file__)), f"kubernetes-{version}.json.gz")
    with open(out, "wb") as f:
        f.write(gzip.compress(text.encode(), 9, mtime=0))
    print(out, len(kept), "definitions", os.path.getsize(out), "bytes")
