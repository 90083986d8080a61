"""Settings of the deployment service."""

from patchline_kit.settings import ServiceSettings


class Settings(ServiceSettings):
    """Those of every service are enough."""
