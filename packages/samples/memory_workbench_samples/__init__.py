"""Further sample runs and organisms of Memory Workbench: `workbench runs` and `workbench organisms`
list them once this is installed.
"""
