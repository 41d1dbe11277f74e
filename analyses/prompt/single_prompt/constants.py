"""What measuring and showing a run share."""

NAME = "inside"
