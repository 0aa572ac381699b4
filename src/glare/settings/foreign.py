"""Options of OpenStack libraries that Glare does not read. They are in files that several services share.

What no table can hold, because the libraries have hundreds, is recognised by the form of its name.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final

_GROUPS: Final = re.compile(
    r"oslo_\w+|keystone\w*|keycloak\w*|profiler\w*|healthcheck|cache|matchmaker_redis|barbican|key_manager|vault"
    r"|service_(user|auth|token)|trustee|ssl|wsgi|eventlet_opts|privsep\w*|coordination|cinder|glance|nova|neutron"
    r"|swift"
)
"""Groups that belong to libraries and other services, as a whole."""

_NAMES: Final = MappingProxyType(
    {
        "DEFAULT": re.compile(
            r"log_\w+|logging_\w+|syslog_\w+|watch_log_file|use_(journal|json|eventlog|syslog_rfc_format)"
            r"|max_logfile_\w+|publish_errors|instance_(uuid_)?format|rate_limit_\w+|fatal_deprecations"
            r"|rpc_\w+|conn_pool_\w+|executor_thread_pool_size|backdoor_\w+|graceful_shutdown_timeout|wsgi_\w+"
            r"|api_paste_config|run_external_periodic_tasks|config_(file|dir|source)|notification_\w+"
        ),
        "database": re.compile(
            r"sqlite_\w+|backend|slave_connection"
            r"|(asyncio_)?(slave_)?connection_?(parameters|debug|trace|recycle_time)?"
            r"|asyncio_\w+|mysql_\w+|idle_timeout|min_pool_size|max_retries|retry_interval|max_overflow|db_\w+"
            r"|use_(db_reconnect|tpool)|synchronous_reader"
        ),
        "oslo_policy": re.compile(r"enforce_\w+|policy_dirs|remote_\w+"),
        "cors": re.compile(r"expose_headers|allow_(methods|headers)"),
        "oslo_messaging_rabbit": re.compile(
            r"(kombu|rabbit|heartbeat|rpc|ssl|conn|notification|tcp|pool|socket|fake)_\w+|direct_mandatory_flag"
            r"|enable_cancel_on_failover|use_queue_manager|hostname|processname|addresses|driver|rabbit\w+|login_method"
        ),
        "glance_store": re.compile(
            r"(swift|rbd|rados|s3|cinder|vmware|https?|sheepdog|filesystem)_\w+|default_(backend|swift_reference)"
            r"|store_capabilities_\w+|rootwrap_config"
        ),
    }
)
"""Options of libraries in groups where Glare has some of its own."""


def is_foreign_group(group: str) -> bool:
    """Whether a group of this name is another library's or service's."""
    return _GROUPS.fullmatch(group) is not None


def is_foreign(group: str, name: str) -> bool:
    """Whether a library has an option of this name in a group that Glare has options in too."""
    pattern = _NAMES.get(group)
    return pattern is not None and pattern.fullmatch(name) is not None
