"""A stream of five updates on digits, from Python: what replay keeps of each chunk."""

import renate

for result in renate.stream(
    {"scenario": "class_incremental", "updater": "er", "objective.metric": None}
):
    print(" ".join(f"{100 * accuracy:5.1f}" for accuracy in result.matrix[-1]))

model = renate.load_model(result.state_url)
print(f"version {model.version} knows the labels {model.labels}")
