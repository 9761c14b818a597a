"""What Celery reads, when it first needs it (the application itself is made before the settings).

The broker is allowed to lose anything: PostgreSQL is the only truth, a message is a hint, and the
beat's sweeps find what a lost hint left.
"""

from django.conf import settings

from config import wiring

broker_url = settings.REDIS_URL
task_serializer = "json"
accept_content = ["json"]
timezone = "UTC"
enable_utc = True

imports = wiring.TASK_MODULES
beat_schedule = wiring.BEAT_SCHEDULE
task_routes = wiring.TASK_ROUTES
task_default_queue = "default"

# Answers of tasks are read by nobody; what a task did stands in the database.
task_ignore_result = True
# A task is acknowledged when it is done, and goes back to the queue when its process dies.
task_acks_late = True
task_reject_on_worker_lost = True
worker_prefetch_multiplier = 1
worker_cancel_long_running_tasks_on_connection_loss = False
task_soft_time_limit = 270
task_time_limit = 300

worker_hijack_root_logger = False
worker_redirect_stdouts = False

broker_connection_retry = True
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
broker_pool_limit = 8
broker_transport_options = {
    # Longer than any task may run (task_time_limit), else the broker hands it out twice.
    "visibility_timeout": 360,
    # What a killed worker held is looked for at each 10th turn of 1 s, not of 10 s.
    "unacked_restore_interval": 1,
    # Publishing from a request gives up soon: the sweep will find what the hint was about.
    "socket_connect_timeout": 2,
    "socket_timeout": 5,
    "health_check_interval": 10,
    "global_keyprefix": f"{settings.REDIS_PREFIX}:",
}
