"""The one exception of this package."""


class StorageError(ValueError):
    """A file that cannot be read, or a network that cannot be written; the message says why."""
