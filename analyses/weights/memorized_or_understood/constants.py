"""What measuring and showing a run share."""

NAME = "memorized-or-understood"
