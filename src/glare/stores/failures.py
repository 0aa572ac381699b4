"""Errors of the operating system as Glare's."""

from __future__ import annotations

import errno
import logging
from typing import Final

from glare.errors import Conflict, GlareError, NotFound, StoreFailed, StoreFull, StoreReadOnly
from glare.stores.contract import ObjectFailed

_log = logging.getLogger(__name__)

_OF_ONE_OBJECT: Final = frozenset({"open", "size", "read"})
_REFUSED: Final = frozenset({errno.EACCES, errno.EPERM})
_SHORT: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN})
_AWAY: Final = frozenset(
    {errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH}
    | {
        errno.ENOTCONN,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.ECONNABORTED,
        errno.ENODEV,
        errno.ENXIO,
        errno.ESHUTDOWN,
    }
)
"""What network file systems say when their server is away, and others when their device is."""


def named(error: OSError, store: str, action: str) -> GlareError:
    """The error of the tree for one of the operating system's. It names the store, and no path: the log has that.

    None of them is the client's fault, except that what was asked for may have been deleted meanwhile.
    """
    reason = _reason(error)
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return StoreFull(
                f"Store {store!r} is full ({reason}); nothing was stored. Retry after its operator has made room."
            )
        case errno.EFBIG:
            return StoreFull(
                f"Store {store!r} takes no object this large ({reason}); nothing was stored. Its operator may "
                "raise the limit on file sizes."
            )
        case errno.ENOENT if action in ("open", "size", "path", "read"):
            # A download may lose a race with a deletion; more than that is bytes that are lost.
            _log.warning("Store %s does not have what was asked of it: %s", store, error)
            return NotFound(
                f"Store {store!r} does not have these bytes; tell its operator, who may have a copy of them."
            )
        case errno.EEXIST:
            return Conflict(f"Store {store!r} has an object of this name already; retry the request.")
    _log.error("Store %s fails at %s: %s", store, action, error)
    if error.errno == errno.EROFS:
        return StoreReadOnly(
            f"Store {store!r} takes no data now ({reason}); nothing was stored. Retry after its operator has made its "
            "file system writable again."
        )
    if error.errno in _REFUSED:
        return StoreFailed(
            f"Store {store!r} denies this to the service ({reason}). Retry after its operator has given the service's "
            "user the right to read and write there."
        )
    if error.errno in _SHORT:
        return StoreFailed(
            f"The server is short of what it needs for store {store!r} ({reason}); retry. Its operator may raise the "
            "limits of the process on open files and memory."
        )
    if error.errno in _AWAY:
        return StoreFailed(
            f"Store {store!r} is out of reach ({reason}). Retry after its operator has mounted its volume again."
        )
    kind = ObjectFailed if action in _OF_ONE_OBJECT else GlareError
    return kind(
        f"Store {store!r} failed ({reason}). Tell its operator, who has to look at its disk and at the service's log."
    )


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
