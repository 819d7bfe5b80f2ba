"""A function's cold start: a fresh interpreter imports its module, which makes its clients.

The interpreter and the libraries are this environment's, with compiled bytecode, on this machine's
processor: it ranks designs and finds what is heavy, but is not Lambda's own start.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.comparison.designs import Design, Function
from benchmarks.comparison.errors import ComparisonError
from local.endpoint import HERMETIC, REGION

ROOT = Path(__file__).resolve().parents[2]
IMPORT = """
import time
wall, cpu = time.perf_counter(), time.process_time()
import importlib, sys
importlib.import_module(sys.argv[1])
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
import json
print(json.dumps({"wall_ms": 1000 * wall, "cpu_ms": 1000 * cpu}))
"""
TIMEOUT_S = 120
ENVIRONMENT = {
    **HERMETIC,
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_LAMBDA_FUNCTION_NAME": "bench",
    "POWERTOOLS_SERVICE_NAME": "bench",
    "TABLE_NAME": "bench",
    "IDEMPOTENCY_TABLE_NAME": "bench-idempotency",
    "QUARANTINE_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/000000000000/quarantine",
    "FANOUT_DLQ_URL": "https://sqs.us-east-1.amazonaws.com/000000000000/fanout-dlq",
    "GRAPHQL_URL": "https://example.appsync-api.us-east-1.amazonaws.com/graphql",
}
"""What Lambda and the stacks set; nothing is called at such a start."""


@dataclass(frozen=True, slots=True)
class ColdStart:
    """Milliseconds, without the interpreter's own start."""

    wall_ms: float
    cpu_ms: float


def cold_start(design: Design, function: Function) -> ColdStart:
    """Measure one (blocking).

    Raises
    ------
    ComparisonError
        The import failed; with what Python said last.
    """
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, design.module(function)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **ENVIRONMENT},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["nothing said"]
        raise ComparisonError(f"{design.module(function)} cannot be imported: {said[-1]}")
    return ColdStart(**json.loads(done.stdout.splitlines()[-1]))
