"""A bucket, as the head sees it: the only module that knows boto3 and has credentials.

boto3 finds credentials, region and endpoint as it always does (AWS_ENDPOINT_URL_S3 and
AWS_ENDPOINT_URL lead to R2, MinIO or Google's XML API). Others get URLs that are signed for one
part of one upload, for a short time. Texts of foreign errors are not passed on.
"""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from raydl.model.errors import (
    HttpError,
    NetworkError,
    OutputError,
    RaydlError,
    TargetError,
    UsageError,
)
from raydl.origin.upload import ANYTHING, CONDITION_UNKNOWN, condition

SIGNED_SECONDS = 900
"""How long a part's URL is good. It is signed right before it is used."""

COMPLETE_SECONDS = 120.0
"""A service may take its time to put many parts together."""

CRC = "crc32"
"""What is computed of each part where the service makes the object's own of it: nodes have it in
Python's zlib, with nothing installed but Ray."""

MD5 = "md5"
"""What is computed of each part elsewhere: every service compares Content-MD5."""


@dataclass(frozen=True)
class Place:
    """An object's place."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, text: str, name: str) -> Place:
        """From ``s3://bucket/key``; ``s3://bucket/prefix/`` takes the file's ``name``.

        Raises UsageError.
        """
        bucket, _, key = text.removeprefix("s3://").partition("/")
        if not text.startswith("s3://") or not bucket:
            raise UsageError(f"{text} names no bucket", "write s3://BUCKET/KEY")
        if not key or key.endswith("/"):
            if not name:
                raise UsageError(f"{text} names no object, and the origin has no name for it")
            key += name
        return cls(bucket, key)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@dataclass(eq=False)
class Claim:
    """What one who writes an object has to say of what is there. It ``replaces`` what ``condition``
    says; ``may_be_there``: a run that was killed, or this one, may have made the very object.
    ``made`` is the ETag of what was made."""

    replaces: str = ""
    may_be_there: bool = False
    made: str = ""


class Found(NamedTuple):
    """An object that is there; ``crc`` is None where that was not asked for, or is not told."""

    size: int
    etag: str
    crc: int | None = None


class Sent(NamedTuple):
    """A part that the service has; ``crc`` is None where it does not tell."""

    etag: str
    size: int
    crc: int | None = None


class UnreachedError(OutputError):
    """The service could not be reached; the exit code is that of a source to which this happens."""

    exit_code = NetworkError.exit_code


class RefusedError(OutputError):
    """The service said no; ``code`` is its word for it. As a source it has the same exit code."""

    exit_code = HttpError.exit_code

    def __init__(self, message: str, hint: str = "", code: str = "", status: int = 0) -> None:
        super().__init__(message, hint)
        self.args = (message, hint, code, status)
        self.code, self.status = code, status


def must_be_there() -> None:
    """Raise UsageError where boto3 cannot be imported."""
    try:
        import boto3  # noqa: F401 - to see whether it is there
    except ImportError:
        raise UsageError(
            "writing to a bucket needs boto3, which is not there", "pip install boto3"
        ) from None


def connect(place: Place, timeout: float) -> Bucket:
    """The bucket, as whoever boto3 finds credentials for. Raises UsageError."""
    must_be_there()
    import boto3
    from botocore.config import Config

    config = Config(
        # Signatures of version 2, which are still made by default here and there, sign no headers.
        signature_version="s3v4",
        connect_timeout=timeout,
        read_timeout=timeout,
        retries={"mode": "standard", "max_attempts": 5},
        # Checksums that nobody asked for are refused by some services.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    patient = config.merge(Config(read_timeout=max(timeout, COMPLETE_SECONDS)))
    session = boto3.session.Session()
    with _translated(place, "use"):
        client = session.client("s3", config=config)
        return Bucket(client, place, cache(lambda: session.client("s3", config=patient)))


def certificates() -> str | None:
    """The certificates (PEM) that boto3 is told to trust by the environment. Raises UsageError."""
    path = os.environ.get("AWS_CA_BUNDLE")
    try:
        return Path(path).read_text() if path else None
    except (OSError, ValueError):
        raise UsageError(f"AWS_CA_BUNDLE: {path} cannot be read") from None


class Bucket:
    """One object in a bucket, and its unfinished uploads. Methods raise RaydlError.

    ``patient`` gives the client for what may take its time.
    """

    def __init__(self, client: Any, place: Place, patient: Callable[[], Any]) -> None:
        self._client, self.place, self._patient = client, place, patient
        self._where = {"Bucket": place.bucket, "Key": place.key}

    @property
    def endpoint(self) -> str:
        """The service's URL."""
        return str(self._client.meta.endpoint_url)

    def at(self, key: str) -> Bucket:
        """Another object in the same bucket."""
        return Bucket(self._client, Place(self.place.bucket, key), self._patient)

    def is_empty(self) -> bool:
        """Whether nothing is there whose key begins with this one."""
        with _translated(self.place, "list what is in"):
            answer = self._client.list_objects_v2(
                Bucket=self.place.bucket, Prefix=self.place.key, MaxKeys=1
            )
        return not answer.get("KeyCount", len(answer.get("Contents", ())))

    def sign_put(self) -> str:
        """The URL to PUT the object to. It is a secret: whoever has it can write that object."""
        return self._sign("put_object")

    def sign_head(self) -> str:
        """The URL to see with HEAD what is there. It is a secret, too."""
        return self._sign("head_object")

    def _sign(self, what: str) -> str:
        with _translated(self.place, "sign for"):
            return str(
                self._client.generate_presigned_url(
                    what, Params=self._where, ExpiresIn=SIGNED_SECONDS
                )
            )

    def head(self, crc: bool = False) -> Found | None:
        """The object that is there now, if any; with its CRC-32, where the service knows that."""
        fields = {**self._where, "ChecksumMode": "ENABLED"} if crc else self._where
        with _translated(self.place, "look at"):
            try:
                answer = self._client.head_object(**fields)
            except self._client.exceptions.ClientError as error:
                if _status(error) == 404:
                    return None
                raise
        text = answer.get(f"Checksum{CRC.upper()}")
        # That of a whole object: one of its parts' ends with their number.
        is_whole = text is not None and "-" not in text
        size, etag = answer["ContentLength"], answer.get("ETag", "")
        return Found(size, etag, _number(text) if is_whole else None)

    def uploads(self) -> list[str]:
        """The ids of the object's unfinished uploads, whoever began them; none where a
        service, or the user's rights, do not let them be listed."""
        found = []
        with contextlib.suppress(RefusedError), _translated(self.place, "list the uploads of"):
            pages = self._client.get_paginator("list_multipart_uploads")
            for page in pages.paginate(Bucket=self.place.bucket, Prefix=self.place.key):
                for upload in page.get("Uploads", ()):
                    if upload["Key"] == self.place.key:
                        found.append(upload["UploadId"])
        return found

    def begin(self, media_type: str) -> tuple[str, str]:
        """Begin an upload; its id, and which digest its parts are to be sent with."""
        kind = {"ContentType": media_type} if media_type else {}
        with contextlib.suppress(RefusedError), _translated(self.place, "begin to write"):
            answer = self._client.create_multipart_upload(
                **self._where, **kind, ChecksumAlgorithm=CRC.upper(), ChecksumType="FULL_OBJECT"
            )
            if answer.get("ChecksumAlgorithm") == CRC.upper():
                return str(answer["UploadId"]), CRC
            self.abort(answer["UploadId"])  # it does not know what was asked for
        with _translated(self.place, "begin to write"):
            return str(self._client.create_multipart_upload(**self._where, **kind)["UploadId"]), MD5

    def parts(self, upload: str) -> dict[int, Sent] | None:
        """What the service has of an upload, by part number; None where there is no such upload."""
        sent = {}
        try:
            with _translated(self.place, "list the parts of"):
                pages = self._client.get_paginator("list_parts")
                for page in pages.paginate(**self._where, UploadId=upload):
                    for part in page.get("Parts", ()):
                        crc = part.get(f"Checksum{CRC.upper()}")
                        sent[part["PartNumber"]] = Sent(
                            part["ETag"], part["Size"], None if crc is None else _number(crc)
                        )
        except RefusedError as error:
            if error.code == "NoSuchUpload" or error.status == 404:
                return None
            raise
        return sent

    def sign(
        self, upload: str, number: int, algorithm: str, digest: str
    ) -> tuple[str, dict[str, str]]:
        """The URL to PUT a part with this digest (hex) to, and the headers that are signed with it.

        The URL is a secret: whoever has it can write the part.
        """
        text = base64.b64encode(bytes.fromhex(digest)).decode()
        name, header = (
            (f"Checksum{CRC.upper()}", f"x-amz-checksum-{CRC}")
            if algorithm == CRC
            else ("ContentMD5", "Content-MD5")
        )
        with _translated(self.place, "sign for"):
            url = self._client.generate_presigned_url(
                "upload_part",
                Params={**self._where, "UploadId": upload, "PartNumber": number, name: text},
                ExpiresIn=SIGNED_SECONDS,
            )
        return url, {header: text}

    def complete(
        self, upload: str, parts: Mapping[int, Sent], crc: int | None, replaces: str
    ) -> str:
        """Make the object of its parts, in one step; returns its ETag.

        The service compares ``crc``, that of the whole, where it is given. It ``replaces`` what
        ``condition`` says: services that have no conditional writes are looked at right before.
        """
        fields: dict[str, Any] = {
            **self._where,
            "UploadId": upload,
            "MultipartUpload": {"Parts": [_listed(n, part) for n, part in sorted(parts.items())]},
        }
        if crc is not None:
            fields |= {f"Checksum{CRC.upper()}": _text(crc), "ChecksumType": "FULL_OBJECT"}
        with _translated(self.place, "finish"):
            return self._conditional(self._patient().complete_multipart_upload, fields, replaces)

    def put_empty(self, media_type: str, replaces: str) -> str:
        """Make an object of no bytes; returns its ETag."""
        kind = {"ContentType": media_type} if media_type else {}
        with _translated(self.place, "write"):
            fields = {**self._where, **kind, "Body": b""}
            return self._conditional(self._client.put_object, fields, replaces)

    def abort(self, upload: str) -> None:
        """Have done with an upload: its parts are gone. One that is not there is no error."""
        try:
            with _translated(self.place, "give up an upload of"):
                self._client.abort_multipart_upload(**self._where, UploadId=upload)
        except RefusedError as error:
            if error.status != 404:
                raise

    def _conditional(self, call: Any, fields: dict[str, Any], replaces: str) -> str:
        if replaces == ANYTHING:
            return str(call(**fields).get("ETag", ""))
        there = self.head()
        if there is not None and there.etag != replaces:
            raise _is_there(self.place)
        only = condition(there.etag if there else "")
        try:
            named = {name.replace("-", ""): value for name, value in only.items()}
            return str(call(**fields, **named).get("ETag", ""))
        except self._client.exceptions.ClientError as error:
            code = _code(error)
            if _status(error) == 412 or code == "PreconditionFailed":
                raise _is_there(self.place) from None
            if _status(error) != 501 and code not in CONDITION_UNKNOWN:
                raise
            return str(call(**fields).get("ETag", ""))


def _listed(number: int, part: Sent) -> dict[str, Any]:
    crc = {} if part.crc is None else {f"Checksum{CRC.upper()}": _text(part.crc)}
    return {"PartNumber": number, "ETag": part.etag, **crc}


def _text(crc: int) -> str:
    return base64.b64encode(crc.to_bytes(4, "big")).decode()


def _number(text: str) -> int:
    return int.from_bytes(base64.b64decode(text), "big")


def _is_there(place: Place) -> TargetError:
    return TargetError(
        f"somebody else has written {place} meanwhile",
        "the same command with --overwrite replaces it, without sending anything again",
    )


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _status(error: Any) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


@contextlib.contextmanager
def _translated(place: Place, what: str) -> Iterator[None]:
    """Errors of boto3 become ours; their own texts may have URLs and names in them."""
    from botocore import exceptions as theirs

    unknown = (theirs.NoCredentialsError, theirs.PartialCredentialsError)
    try:
        yield
    except theirs.ClientError as error:
        raise refusal(place, what, _code(error), _status(error)) from None
    except unknown:
        raise UsageError(
            f"there are no credentials for {place}",
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
        ) from None
    except (theirs.HTTPClientError, theirs.ConnectionError):
        raise UnreachedError(
            f"cannot {what} {place}: the service cannot be reached",
            "AWS_ENDPOINT_URL says where it is",
        ) from None
    except (theirs.ParamValidationError, theirs.BotoCoreError, ValueError) as error:
        if isinstance(error, RaydlError):
            raise
        raise UsageError(f"cannot {what} {place}: {type(error).__name__}") from None


def refusal(place: Place, what: str, code: str, status: int) -> RefusedError:
    """What a service's refusal means."""
    hints = {
        "NoSuchBucket": "make the bucket first",
        "NoSuchUpload": "somebody aborted the upload; run it again",
        "InvalidAccessKeyId": "the credentials are unknown there",
        "SignatureDoesNotMatch": "the secret key is wrong",
        "RequestTimeTooSkewed": "this machine's clock is wrong",
        "403": "a look needs s3:GetObject and s3:ListBucket; --overwrite does without",
        "AccessDenied": "it needs s3:PutObject, s3:AbortMultipartUpload and "
        "s3:ListMultipartUploadParts",
    }
    said = code if code and not code.isdigit() else str(status)
    return RefusedError(f"cannot {what} {place}: {said}", hints.get(said, ""), code, status)
