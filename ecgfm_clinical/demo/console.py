"""The operators' console of the demo hospital: nobody has a password there, a link signs in once."""

from typing import TYPE_CHECKING

from ecgfm_clinical import wiring

if TYPE_CHECKING:
    from ecgfm_clinical.settings import Settings
    from ecgfm_clinical.staging.store import Store


class DemoConsole:
    """Its port, which the hospital's service opens, and links to it."""

    def __init__(self, settings: "Settings", store: "Store") -> None:
        from ecgfm_clinical.web.one_time import OneTimeLinks
        from ecgfm_clinical.web.server import build_port

        self._links = OneTimeLinks()
        self.port = build_port(settings, store, links=self._links)

    def link(self) -> str:
        """An address that signs in once, as somebody who may do everything."""
        from ecgfm_clinical.web.users import Role, User

        visitor = User(name="visitor", role=Role.ADMINISTRATOR, way="link")
        return f"http://127.0.0.1:{self.port.port}{self._links.make(visitor, now=wiring.utc_now())}"
