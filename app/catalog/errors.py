"""What the catalog refuses."""

from app.kernel.errors import NotFound


class CatalogFileWrong(ValueError):
    """The catalog file cannot be used; the message names file and line. Nothing starts with it."""


class UnknownCatalogVersion(NotFound):
    """There is no such version of the catalog."""

    code = "unknown_catalog_version"
