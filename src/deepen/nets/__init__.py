"""The paper, as code: networks of any depth as data, and the modules built from it."""
