"""What the demo's fleet looks like before Patchline touches it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Blueprint:
    """One application of the demo: its program, its old packages, its configuration."""

    id: str
    group: str
    program: str
    packages: tuple[str, ...]
    """Exact versions, old on purpose."""
    config: dict[str, str | int] = field(default_factory=dict)
    peer: str | None = None
    """Id of the application whose page this one fetches."""


OLD_REQUESTS = (
    "requests==2.31.0",
    "urllib3==2.2.3",
    "idna==3.10",
    "certifi==2024.8.30",
    "charset-normalizer==3.4.0",
)
OLD_PYJWT = ("pyjwt==2.3.0",)

FLEET: tuple[Blueprint, ...] = (
    Blueprint("status-board", "intranet", "fetcher", OLD_REQUESTS, peer="staff-login"),
    Blueprint("staff-login", "intranet", "sessions", OLD_PYJWT, {"subjects": "names"}),
    Blueprint("handbook", "intranet", "pages", ("jinja2==2.11.3", "markupsafe==2.0.1")),
    Blueprint("price-watch", "shop", "fetcher", OLD_REQUESTS, peer="customer-login"),
    Blueprint("customer-login", "shop", "sessions", OLD_PYJWT, {"subjects": "numbers"}),
    Blueprint("card-gateway", "payments", "fetcher", OLD_REQUESTS, peer="payouts"),
    Blueprint("payouts", "payments", "fetcher", OLD_REQUESTS, peer="card-gateway"),
    Blueprint("name-registry", "registry", "names", ("idna==3.6",)),
)

GROUPS = """\
groups:
  - name: intranet
    criticality: low
    exposure: controlled
    window: always
    contacts: ["file:notices/intranet.log"]
  - name: shop
    criticality: medium
    exposure: open
    window: always
    contacts: ["file:notices/shop.log"]
    policies: {soak: PT12S}           # customers' sessions are read a while after the start
  - name: payments
    criticality: high
    exposure: open
    window: always
    contacts: ["file:notices/payments.log"]
  - name: registry
    criticality: critical
    exposure: open
    window: always
    contacts: ["file:notices/registry.log"]
    policies:
      approval: {minimum_approvers: 1, not_the_requester: true}
policies:
  approval: automatic
  soak: PT5S
  on_failure: roll-back-wave
"""
