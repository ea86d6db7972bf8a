"""An S3 on this machine: moto's server, one request after the other, so that a put under a condition is atomic as S3's is.

`python -m tests.helpers.s3` prints its port and serves until it is ended. Puts into the bucket `deaf` lose their conditions, as with
a store that does not know them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.helpers.cli import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUCKETS = ("lake", "landing", "deaf")
SECRET = "planted-secret-5c1f"  # noqa: S105 - planted to be looked for in what runs leave


@dataclass(frozen=True)
class Server:
    """A running server: the environment in which programs find it and their keys, and a client."""

    env: dict[str, str]
    client: Any

    def text(self, bucket: str, name: str) -> str | None:
        """An object's text, None when there is none."""
        try:
            return str(self.client.get_object(Bucket=bucket, Key=name)["Body"].read().decode())
        except self.client.exceptions.NoSuchKey:
            return None

    def put(self, bucket: str, name: str, content: bytes) -> None:
        """Put an object."""
        self.client.put_object(Bucket=bucket, Key=name, Body=content)

    def upload(self, folder: Path, bucket: str, prefix: str) -> None:
        """Put all files of a folder."""
        for file in folder.rglob("*"):
            if file.is_file():
                self.put(bucket, f"{prefix}/{file.relative_to(folder).as_posix()}", file.read_bytes())

    def objects(self, bucket: str) -> Iterator[tuple[str, bytes]]:
        """Every object of a bucket with its content."""
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for one in page.get("Contents", ()):
                yield one["Key"], self.client.get_object(Bucket=bucket, Key=one["Key"])["Body"].read()


@contextmanager
def serving(log: Path) -> Iterator[Server]:
    """A server of its own process with the buckets made."""
    import boto3

    env = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with log.open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.helpers.s3"], env=env, stdout=subprocess.PIPE, stderr=err, text=True
        )
    try:
        port = int(process.stdout.readline())  # type: ignore[union-attr]
        url = f"http://127.0.0.1:{port}"
        keys = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": SECRET}
        client = boto3.client(
            "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=SECRET,
        )  # fmt: skip
        for bucket in BUCKETS:
            client.create_bucket(Bucket=bucket)
        yield Server(keys | {"AWS_ENDPOINT_URL": url, "AWS_REGION": "us-east-1"}, client)
    finally:
        process.terminate()
        process.wait(30)


def _serve() -> None:
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server

    app, one_at_a_time = DomainDispatcherApplication(create_backend_app), threading.Lock()

    def answer(environ: dict[str, Any], start: Any) -> Any:
        if environ["PATH_INFO"].startswith("/deaf/"):
            environ.pop("HTTP_IF_NONE_MATCH", None)
        with one_at_a_time:
            return app(environ, start)

    server = make_server("127.0.0.1", 0, answer, threaded=True, request_handler=MotoRequestHandler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _serve()
