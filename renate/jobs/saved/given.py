"""Models whose class a state can't name: whoever loads one hands over a network."""

# What model.json calls them -> how they were made.
GIVEN = {
    "renate.jobs.live.LiveModel": "renate.run(model=…), whose class it can't name",
    "renate.compat.files.parts.ModelFn": "a config file's model_fn, which no state may call",
    "renate.compat.files.parts.Transform": "a config file's transform, which no state may call",
}
