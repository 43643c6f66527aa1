"""A network that knows its classes and its pixels: what every verb takes and gives."""
