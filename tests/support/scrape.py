"""Metrics as Prometheus gets them: over HTTP, in its text format."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from landmarks.observability.telemetry import metrics_served
from landmarks.settings import Settings
from tests.support.processes import ROOT

HEALTHY = ROOT / "deploy" / "docker" / "healthy"

# Samples by name and labels.
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(port: int, host: str = "127.0.0.1") -> Samples:
    """Return every sample that is served on a port."""
    with urlopen(f"http://{host}:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def is_healthy(metrics_port: int) -> bool:
    """Return what the health check of our containers says of the service with these metrics."""
    environment = {"PATH": os.environ["PATH"], "LANDMARKS_METRICS_PORT": str(metrics_port)}
    check = subprocess.run([HEALTHY], env=environment, capture_output=True)
    return check.returncode == 0


class Scraped:
    """Metrics of this process since this was made; counters of other tests do not show."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._before = scrape(port)

    def now(self, name: str, **labels: str) -> float:
        """Return what a sample says; 0 where there is none yet."""
        return scrape(self._port).get((name, frozenset(labels.items())), 0.0)

    def since(self, name: str, **labels: str) -> float:
        """Return by how much a sample has grown."""
        key = (name, frozenset(labels.items()))
        return scrape(self._port).get(key, 0.0) - self._before.get(key, 0.0)


@contextmanager
def scraped() -> Iterator[Scraped]:
    """Serve this process's metrics on a free port, and read them there."""
    with metrics_served(Settings(metrics_port=0)) as port:
        assert port is not None
        yield Scraped(port)
