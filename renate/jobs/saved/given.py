"""Models whose class a state can't name: whoever loads one hands over a network."""

from renate.jobs.passed_objects import EARLIER, MODEL

# What model.json calls them -> how they were made
HOW = {
    MODEL: "renate.run(model=…), whose class it can't name",
    "renate.compat.files.parts.ModelFn": "a config file's model_fn, which no state may call",
    "renate.compat.files.parts.Transform": "a config file's transform, which no state may call",
}


def maker_of(target: str) -> str | None:
    """Return how an object was made that a state can't make again; None where it can."""
    return HOW.get(EARLIER.get(target, target))
