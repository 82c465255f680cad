"""A PIN, as a value that does not show itself."""


class Pin:
    """The PIN of a token's user or security officer. `bytes(pin)` is UTF-8, as C_Login wants it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __bytes__(self) -> bytes:
        return self._value.encode()

    def __repr__(self) -> str:
        return "Pin(***)"

    __str__ = __repr__

    def __reduce__(self) -> str:
        raise TypeError("a PIN is not pickled")
