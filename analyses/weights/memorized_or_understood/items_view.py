"""What the part `items` looks like."""

from workbench import views as v

VIEWS = [
    v.View("Items", needs="items", otherwise="the part `items` was not run", parts=[
        v.table("items", "All items"),
    ]),
]  # fmt: skip
