"""Prometheus series that are not plain HTTP ones."""

from prometheus_client import Counter, Gauge, Histogram

JOB_RUNS = Counter("billing_job_runs_total", "Jobs that ended, by outcome.", ["job", "outcome"])
JOB_SECONDS = Histogram("billing_job_seconds", "How long a job ran.", ["job"])
GATEWAY_SECONDS = Histogram(
    "billing_gateway_seconds", "Calls to the outside world.", ["gateway", "call", "outcome"]
)
INVARIANT_VIOLATIONS = Gauge(
    "billing_invariant_violations",
    "Places where something does not hold that always must, by check.",
    ["check"],
    multiprocess_mode="mostrecent",
)
HTTP_SECONDS = Histogram(
    "http_request_seconds",
    "Requests by route template, method and status class.",
    ["method", "route", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
