"""What the part `components` looks like."""

from workbench import views as v

VIEWS = [
    v.View("Components", needs="components",
           otherwise="what the model has read was not named (`read`)", parts=[
        v.finding("components"),
        v.table("components"),
    ]),
]  # fmt: skip
