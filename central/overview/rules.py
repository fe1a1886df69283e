"""A line for each place. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Place:
    site: str
    waiting: int = 0
    oldest: datetime | None = None
    seen: int = 0
    cameras: int = 0
    boxes_away: int = 0
    crowded: int = 0

    @property
    def calm(self) -> bool:
        """Only what is seen whole can be called calm."""
        return self.cameras > 0 and self.seen == self.cameras and not (self.waiting or self.boxes_away or self.crowded)


def places(
    alerts: Iterable[tuple[str, datetime]],
    cameras: Iterable[tuple[str, bool]],
    boxes: Iterable[tuple[str, bool]],
    streets: Iterable[tuple[str, bool]],
) -> list[Place]:
    """Of each: the site, and when it was raised, whether it is seen, is online, is crowded. The worst place first."""
    alerts, cameras, boxes, streets = list(alerts), list(cameras), list(boxes), list(streets)
    sites = {site for rows in (alerts, cameras, boxes, streets) for site, _ in rows}
    found = []
    for site in sites:
        raised = [at for at_site, at in alerts if at_site == site]
        seen = [is_seen for at_site, is_seen in cameras if at_site == site]
        found.append(
            Place(
                site=site,
                waiting=len(raised),
                oldest=min(raised, default=None),
                seen=sum(seen),
                cameras=len(seen),
                boxes_away=sum(1 for at_site, online in boxes if at_site == site and not online),
                crowded=sum(1 for at_site, crowded in streets if at_site == site and crowded),
            )
        )
    return sorted(
        found,
        key=lambda row: (row.calm, -row.waiting, -(row.cameras - row.seen) - row.boxes_away, -row.crowded, row.site),
    )
