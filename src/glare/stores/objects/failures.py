"""What object stores answer, as Glare's errors. Of their text nothing but status and code is told on: it may name keys,
accounts and what was signed.
"""

from __future__ import annotations

import logging
import re
from types import MappingProxyType
from typing import Final

from glare.errors import GlareError, StoreFailed, StoreFull, StoreReadOnly, Unavailable
from glare.stores.contract import StoreAway

_log = logging.getLogger(__name__)

_STATUS: Final = re.compile(r"status code: (\d{3})\b")
_CODE: Final = re.compile(r"<Code>([A-Za-z0-9.]{1,80})</Code>|\(code: ([A-Za-z0-9.]{1,80})\)")

_NO_BUCKET: Final = frozenset(
    {"NoSuchBucket", "InvalidBucketName"}
    | {"ContainerNotFound", "ContainerBeingDeleted", "ContainerDisabled", "ResourceNotFound", "InvalidResourceName"}
)
_STRANGERS: Final = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired"}
    | {"AuthenticationFailed", "RequestTimeTooSkewed", "AuthorizationHeaderMalformed", "InvalidSecurity"}
    | {"InvalidAuthenticationInfo", "NoAuthenticationInformation", "AuthenticationRequired"}
)
_FULL: Final = frozenset(
    {"QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "XMinioAdminBucketQuotaExceeded"}
)
_CHANGED: Final = frozenset(
    {"BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch", "Md5Mismatch"}
)
_STATUS_OF: Final = MappingProxyType({"AccessDenied": 403, "AllAccessDisabled": 403, "AccountProblem": 403})
"""Statuses of codes, where one of several keys was refused and the answer as a whole was not."""

_OTHER_RANGES: Final = (
    *("non-partial response", "Content-Range header", "content range", "NotPartial", "UnexpectedRange"),
    "InvalidContentRange",
)
_LOOKING_FOR_CREDENTIALS: Final = ("token request", "credential provider", "instance metadata", "workload identity")
"""What obstore says where it got none, whatever the answer of who gives them out."""

_DISTRUST: Final = "its certificate is not trusted here"
_SKEW: Final = "RequestTimeTooSkewed"


def status_of(error: BaseException) -> int | None:
    """The status that the store answered with, where it answered."""
    found = _STATUS.search(str(error))
    return None if found is None else int(found[1])


def code_of(error: BaseException) -> str | None:
    """The code of the store's own error, such as ``NoSuchKey``."""
    found = _CODE.search(str(error))
    return None if found is None else found[1] or found[2]


def names_no_bucket(error: BaseException) -> bool:
    """Whether what is missing is not a key but the whole bucket."""
    return code_of(error) in _NO_BUCKET


def begins_behind(error: BaseException) -> bool:
    """Whether a range was asked for that begins at the end of its key, or behind it."""
    return status_of(error) == 416 or "StartTooLarge" in str(error)


def belies_range(error: BaseException) -> bool:
    """Whether what came was not the range that was asked for, by its head."""
    text = str(error)
    return status_of(error) is None and any(sign in text for sign in _OTHER_RANGES)


def named(error: BaseException, store: str, action: str) -> GlareError:
    """The error of the tree for one of the library's, logged for the operator.

    `Unavailable` where it says something of the store as a whole, `StoreFailed` where it may be about this request.
    """
    status, code = status_of(error), code_of(error)
    if code is not None and code.isdigit():  # Of one of several keys.
        status, code = int(code), None
    if status is None and code is not None:
        status = _STATUS_OF.get(code, 500)
    reason = " ".join(str(each) for each in (status, code) if each is not None) or _silence(error)
    if any(sign in str(error).lower() for sign in _LOOKING_FOR_CREDENTIALS):
        made: GlareError = Unavailable(
            f"Store {store!r} has no credentials of the service's ({reason}). Retry after its operator has given it "
            "some, or whoever gives them out answers again."
        )
    else:
        made = _of(status, code, reason, store)
    _log.error("an object store fails", extra={"store": store, "action": action, "reason": reason})
    return made


NO_CONTAINER: Final = "ContainerNotFound"
"""The code for a missing container, where a store has no codes of its own."""

_CODES: Final = MappingProxyType({413: "QuotaExceeded", 422: "Md5Mismatch"})
"""What statuses mean where a store has no codes of its own: no request of ours is too large by itself."""


def answered(status: int, code: str | None, store: str, action: str) -> GlareError:
    """The error of the tree for a status, logged for the operator; as `named`, for who is no user of obstore."""
    _log.error("an object store fails", extra={"store": store, "action": action, "reason": str(status)})
    return _of(status, code or _CODES.get(status), str(status), store)


def silent(error: BaseException, store: str, action: str) -> GlareError:
    """The error of the tree for a request that was not answered, logged for the operator."""
    reason = _silence(error)
    _log.error("an object store fails", extra={"store": store, "action": action, "reason": reason})
    return _of(None, None, reason, store)


def _of(status: int | None, code: str | None, reason: str, store: str) -> GlareError:
    if status is None:
        kind = Unavailable if reason == _DISTRUST else StoreAway  # Which somebody has to mend.
        return kind(f"Store {store!r} is out of reach ({reason}); retry later.")
    if code in _NO_BUCKET:
        return Unavailable(
            f"Store {store!r} is not at its place ({reason}). Retry after its operator has corrected the name of the "
            "bucket."
        )
    if code == _SKEW:
        return Unavailable(f"Store {store!r} refuses the service's clock ({reason}). Its operator has to set it.")
    if status == 401 or code in _STRANGERS:
        return Unavailable(
            f"Store {store!r} refuses the service's credentials ({reason}). Retry after its operator has corrected "
            "them."
        )
    if status == 507 or code in _FULL:
        return StoreFull(
            f"Store {store!r} is full ({reason}); nothing was stored. Retry after its operator has made room."
        )
    if code in _CHANGED:
        return StoreFailed(
            f"Store {store!r} received other bytes than were sent ({reason}); nothing was stored. Retry the request."
        )
    if status == 403:
        return StoreFailed(
            f"Store {store!r} denies this to the service ({reason}). Retry after its operator has given it the right "
            "to read, write, list and delete there."
        )
    if status == 405 or code == "MethodNotAllowed":
        return StoreReadOnly(f"Store {store!r} takes no data now ({reason}); nothing was stored. Retry later.")
    if status >= 500 or status in (408, 429):
        return StoreAway(f"Store {store!r} cannot answer now ({reason}); retry later.")
    return StoreFailed(f"Store {store!r} refused the service's request ({reason}); tell its operator.")


def _silence(error: BaseException) -> str:
    """Why there was no answer, in a few words that name nothing."""
    text = str(error).lower()
    for sign, words in (
        ("certificate", _DISTRUST),
        ("dns error", "its name is not known here"),
        ("name resolution", "its name is not known here"),
        ("timed out", "it did not answer in time"),
        ("refused", "it refuses connections"),
    ):
        if sign in text:
            return words
    return "no answer"
