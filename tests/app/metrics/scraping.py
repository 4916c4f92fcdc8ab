"""What tests read at ``/metrics``."""

from collections.abc import Mapping

import httpx
from prometheus_client.parser import text_string_to_metric_families


class Scrape:
    """The samples of one look."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families = {family.name: family for family in text_string_to_metric_families(text)}

    def value(self, name: str, **labels: str) -> float:
        """The sample ``name`` with just these labels; 0 where there is none."""
        found = [
            sample.value
            for family in self.families.values()
            for sample in family.samples
            if sample.name == name and sample.labels == labels
        ]
        return found[0] if found else 0.0

    def labels(self) -> set[tuple[str, str]]:
        """All labels with all their values."""
        return {
            pair
            for family in self.families.values()
            for sample in family.samples
            for pair in sample.labels.items()
        }


async def scrape(client: httpx.AsyncClient, headers: Mapping[str, str] | None = None) -> Scrape:
    """Look."""
    response = await client.get("/metrics", headers=headers)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    return Scrape(response.text)
